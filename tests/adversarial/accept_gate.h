// Holds holdfastd up inside a system call: each of its accept(2) waits in the kernel until the gate lets it pass
// (seccomp_unotify(2)).
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "ipc/base/unique_fd.h"

namespace holdfast::test {

class AcceptGate {
 public:
  AcceptGate();
  ~AcceptGate();
  AcceptGate(const AcceptGate&) = delete;
  AcceptGate& operator=(const AcceptGate&) = delete;

  // For ProgramOptions::before_exec.
  std::function<bool()> installer() const;

  // Open at first. Closed, it lets the next accept(2) wait for ever.
  void close() { is_open_ = false; }
  void open() { is_open_ = true; }
  // Whether somebody waits at the closed gate.
  bool holds_one() const { return holds_one_; }

 private:
  void serve();
  bool wait_for(const UniqueFd& descriptor) const;

  UniqueFd ours_, theirs_;  // on which the program sends the gate's descriptor
  UniqueFd stop_reader_, stop_writer_;
  std::atomic<bool> is_open_ = true, holds_one_ = false;
  std::thread thread_;
};

}  // namespace holdfast::test
