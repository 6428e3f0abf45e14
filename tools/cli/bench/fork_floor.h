// The floors under a cold call, which needs a new process: a bare fork(2), and a fork of a process with V8.
#pragma once

#include <sys/types.h>

#include <string>
#include <tl/expected.hpp>

#include "ipc/base/unique_fd.h"
#include "tools/cli/bench/statistics.h"

namespace holdfast::cli::bench {

// Time from before a fork to after the wait for the child, which ends at once. The error is the kernel's.
tl::expected<nanoseconds, std::string> time_fork();

// A separate program, because this one must not link V8. It forks from a process with V8 up and calls one function of
// one module in the child: once for each line on its standard input. It writes how long that took, in nanoseconds, as
// a line on its standard output. tools/bench/fork_call.cc is such a program.
class ForkCallProgram {
 public:
  // Starts the program and takes a first sample. The error names the program.
  static tl::expected<ForkCallProgram, std::string> start(const std::string& path);

  ForkCallProgram(ForkCallProgram&& other) noexcept;
  ForkCallProgram& operator=(ForkCallProgram&&) = delete;
  // Closes the program's standard input, which ends it, and waits for it.
  ~ForkCallProgram();

  tl::expected<nanoseconds, std::string> sample();

 private:
  ForkCallProgram(std::string path, pid_t pid, UniqueFd socket);

  std::string path_;
  pid_t pid_;  // -1: nothing to wait for
  UniqueFd socket_;
};

}  // namespace holdfast::cli::bench
