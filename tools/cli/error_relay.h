// Holds back the standard error of a program until it has started, so that the program that starts it can report a
// failed start once, in its own words.
#pragma once

#include <memory>
#include <string>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli {

class ErrorRelay {
 public:
  // Null, with errno set, if no descriptor or thread is available.
  static std::unique_ptr<ErrorRelay> open();
  // Waits until all processes have closed the program's end, but at most 1 s.
  ~ErrorRelay();
  ErrorRelay(const ErrorRelay&) = delete;
  ErrorRelay& operator=(const ErrorRelay&) = delete;

  // The descriptor to use as the program's standard error; close it in this process once the program has it.
  UniqueFd& program_end() { return program_end_; }

  // Writes what was held back to this process's standard error, and everything that follows as it comes.
  void pass_on();

  // Waits until all processes have closed the program's end, but at most 1 s, and returns what was held back: the
  // last 64 KiB.
  std::string take();

 private:
  struct Shared;
  ErrorRelay() = default;
  void finish();

  std::shared_ptr<Shared> shared_;
  UniqueFd program_end_;
};

}  // namespace holdfast::cli
