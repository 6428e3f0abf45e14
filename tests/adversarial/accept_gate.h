// Holds holdfastd up inside a system call: each of its calls of accept(2) waits in the kernel until the gate lets it
// pass (seccomp_unotify(2)).
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

  // The gate is open at first. While it is closed, the next accept(2) does not return.
  void close() { is_open_ = false; }
  void open() { is_open_ = true; }
  // Whether an accept(2) waits at the closed gate.
  bool holds_one() const { return holds_one_; }

 private:
  void serve();
  bool wait_for(const UniqueFd& descriptor) const;

  UniqueFd ours_, theirs_;  // the socket pair on which the program sends the gate's descriptor
  UniqueFd stop_reader_, stop_writer_;
  std::atomic<bool> is_open_ = true, holds_one_ = false;
  std::thread thread_;
};

}  // namespace holdfast::test
