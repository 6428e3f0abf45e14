// The floors under a cold call, which takes a new process: a bare fork(2), and one with V8 in it.
#pragma once

#include <string>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"
#include "tools/cli/bench/statistics.h"

namespace holdfast::cli::bench {

// From before a fork to after the wait for the child, which ends at once. The error is the kernel's.
tl::expected<nanoseconds, std::string> time_fork();

// A program that forks from a process with V8 up and calls one function of one module in the child; this one must not
// link V8. For each line on its standard input it does so once, and writes on its standard output how long it took, in
// nanoseconds, as a line. tools/bench/fork_call.cc is such a program.
class ForkCallProgram {
 public:
  // Starts it; the error names it, also if it does not answer.
  static tl::expected<ForkCallProgram, std::string> start(const std::string& path);

  ForkCallProgram(ForkCallProgram&& other) noexcept;
  ForkCallProgram& operator=(ForkCallProgram&&) = delete;
  // Closing its standard input ends it; it is waited for.
  ~ForkCallProgram();

  tl::expected<nanoseconds, std::string> sample();

 private:
  ForkCallProgram(std::string path, pid_t pid, UniqueFd socket);

  std::string path_;
  pid_t pid_;  // -1: nothing to wait for
  UniqueFd socket_;
};

}  // namespace holdfast::cli::bench
