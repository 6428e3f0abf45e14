// The standard error of a program that is being started: held back until it is up, so that the reason why it does not
// come up can be told once, in the words of whoever started it.
#pragma once

#include <memory>
#include <string>

#include "ipc/base/unique_fd.h"

namespace holdfast::cli {

class ErrorRelay {
 public:
  // Null, with errno set, if there is no descriptor or thread to be had.
  static std::unique_ptr<ErrorRelay> open();
  // Waits until nobody has the program's end open any more, for as long as an orderly end takes.
  ~ErrorRelay();
  ErrorRelay(const ErrorRelay&) = delete;
  ErrorRelay& operator=(const ErrorRelay&) = delete;

  // What is to be the program's standard error; close it here once the program has it.
  UniqueFd& program_end() { return program_end_; }

  // From now on everything goes to this program's standard error as it comes, what was held back first.
  void pass_on();

  // Waits as the destructor does, and returns what was held back: the last of it, if it was very much.
  std::string take();

 private:
  struct Shared;
  ErrorRelay() = default;
  void finish();

  std::shared_ptr<Shared> shared_;
  UniqueFd program_end_;
};

}  // namespace holdfast::cli
