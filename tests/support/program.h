// The programs under test, started as a user would start them.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ipc/base/unique_fd.h"

namespace holdfast::test {

// Where the programs are, as meson says it in the environment; run the tests by `meson test`, with --test-args for
// options of doctest. Each fails the test if it is not told.
std::string supervisor_program();
std::string worker_program();
std::string command_program();
std::string attacker_program();
std::filesystem::path examples_folder();

struct ProgramOptions {
  std::string input;                     // what it reads on standard input
  std::vector<int> inherited;            // descriptors, besides the standard ones, that it gets under the same numbers
  bool as_nobody = false;                // needs root
  bool before_pass_rights = false;       // setsockopt(2) knows no SO_PASSRIGHTS, as before Linux 6.16
  int errors = -1;                       // its standard error, in the place of what errors() tells
  std::function<bool()> before_exec;     // run in the child; with false it does not start
  std::vector<std::string> environment;  // "NAME=VALUE", on top of this process's own
};

// A program that a test started. It is killed if it still runs when its owner goes away, or when this process dies.
class Program {
 public:
  // `command` is the program's path and its arguments.
  explicit Program(const std::vector<std::string>& command, const ProgramOptions& options = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;

  // Its exit status, or 128 and the signal's number. Waits for its end, and fails the test if it does not come.
  int wait();

  // What it has written so far.
  std::string output() const;
  std::string errors() const;

 private:
  pid_t pid_ = -1;
  int status_ = -1;  // -1: was not waited for
  UniqueFd output_;
  UniqueFd errors_;
};

struct Finished {
  int status;  // as Program::wait() gives it
  std::string output;
  std::string errors;
};

// Runs a program to its end.
Finished run(const std::vector<std::string>& command, const ProgramOptions& options = {});

// A folder under the system's folder for temporary files, removed with everything in it by its destructor.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Writes a file into it and returns its path.
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast::test
