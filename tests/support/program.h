// Starts the programs under test as a user would.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "ipc/base/unique_fd.h"

namespace holdfast::test {

// The paths of the programs, which meson passes in the environment; run the tests by `meson test`, with --test-args for
// options of doctest. Each fails the test if the variable is not set.
std::string supervisor_program();
std::string worker_program();
std::string command_program();
std::string attacker_program();
std::filesystem::path examples_folder();

struct ProgramOptions {
  std::string input;                     // its standard input
  std::vector<int> inherited;            // further descriptors that it gets, under the same numbers
  bool as_nobody = false;                // needs root
  bool before_pass_rights = false;       // setsockopt(2) refuses SO_PASSRIGHTS, as before Linux 6.16
  int errors = -1;                       // its standard error; errors() is empty then
  std::function<bool()> before_exec;     // run in the child; if it returns false, the program does not start
  std::vector<std::string> environment;  // "NAME=VALUE", added to this process's own
};

// A program that a test started. It is killed when its Program is destroyed or this process dies.
class Program {
 public:
  // `command` is the program's path and its arguments.
  explicit Program(const std::vector<std::string>& command, const ProgramOptions& options = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;

  // Waits for the program's end and returns its exit status, or 128 plus the signal's number. Fails the test if the
  // program does not end.
  int wait();

  // What the program has written so far to standard output and to standard error.
  std::string output() const;
  std::string errors() const;

 private:
  pid_t pid_ = -1;
  int status_ = -1;  // -1: not waited for yet
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

// A folder under the system's temporary folder. Its destructor removes it with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  // Writes a file into the folder and returns the file's path.
  std::filesystem::path write(const std::string& name, const std::string& text) const;

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast::test
