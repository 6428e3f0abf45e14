// Whom the kernel ends first when the host runs out of memory (/proc/PID/oom_score_adj, proc(5)): workers before
// zygotes, and both before anything else that the host runs.
#pragma once

#include "ipc/unique_fd.h"

namespace holdfast::worker {

class OomScore {
 public:
  static constexpr int kOfZygote = 500;
  static constexpr int kOfWorker = 1000;

  // Of the calling process and the children that it forks from then on. Needs /proc, and to be called before
  // privileges are dropped. Where the kernel does not offer it, nothing is set.
  OomScore();

  // To raise it takes no right, and to lower it again none either, as far as it was raised without one.
  void set(int score) const;

 private:
  UniqueFd file_;
};

}  // namespace holdfast::worker
