// Which processes the kernel kills first when the host runs out of memory (/proc/PID/oom_score_adj, proc(5)): workers
// before zygotes, and both before everything else on the host.
#pragma once

#include "ipc/base/unique_fd.h"

namespace holdfast::worker {

class OomScore {
 public:
  static constexpr int kOfZygote = 500;
  static constexpr int kOfWorker = 1000;

  // Opens the score of the calling process; children that it forks later inherit the value. Needs /proc, and must be
  // called before privileges are dropped. If the file cannot be opened, set() does nothing.
  OomScore();

  // Raising the score takes no privilege; lowering it to a value that it had before an unprivileged raise takes none
  // either.
  void set(int score) const;

 private:
  UniqueFd file_;
};

}  // namespace holdfast::worker
