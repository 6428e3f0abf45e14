// A holdfastd that one test starts, with modules that the test wrote.
#pragma once

#include <sys/types.h>

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "tests/support/program.h"

namespace holdfast::test {

// The values of --profile: V8 with and without code generation at run time.
inline constexpr std::initializer_list<const char*> kProfiles = {"jit", "strict"};

struct Module {
  std::string name;
  std::string code;
  std::string version = "v1";
};

struct DaemonOptions {
  std::vector<Module> modules;
  std::vector<std::string> flags;          // passed to holdfastd after the usual ones
  std::string supervisor = {};             // run this program instead of holdfastd
  std::string worker = {};                 // run this program instead of holdfast-worker
  bool holds_off = false;                  // holds off failing modules; off, as most tests call them again at once
  bool as_nobody = false;                  // only if the test runs as root
  bool before_pass_rights = false;         // see ProgramOptions
  int errors = -1;                         // see ProgramOptions
  std::function<bool()> before_exec = {};  // see ProgramOptions
  std::shared_ptr<TemporaryFolder> folder = {};  // another daemon's: take over its socket and modules
};

class Daemon {
 public:
  // Starts holdfastd, as nobody if the options or the environment (as_nobody.h) ask for that, and waits until it
  // accepts clients. Fails the test if it does not come up.
  explicit Daemon(DaemonOptions options);
  // Kills holdfastd, unless stop() or wait() was called.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // The process that serves clients, and its parent, the monitor, which is the process that was started.
  pid_t pid() const { return server_; }
  pid_t monitor() const { return program_->pid(); }
  // The server's one child is the broker. Its child is the launcher, whose child is the zygote, whose children are the
  // workers. Each function but workers() fails the test if there is no such process.
  pid_t broker() const;
  pid_t launcher() const;
  pid_t zygote() const;
  std::vector<pid_t> workers() const;

  const std::shared_ptr<TemporaryFolder>& folder() const { return folder_; }
  std::string socket_path() const { return folder_->path() / "holdfast.sock"; }
  void add_module(const Module& module) const;
  ipc::Client connect() const;

  // The log so far.
  std::string log() const { return program_->errors(); }
  // Waits until `text` is in the log; false if that does not happen.
  bool logged(const std::string& text) const;

  // Sends a signal: to the monitor if it is one that a service manager sends, else to the server.
  void signal(int number) const;
  // Waits for holdfastd's end and returns its status, as Program::wait() does.
  int wait() { return program_->wait(); }
  // Sends SIGTERM, and checks that holdfastd ends with status 0 and that nothing is left of it.
  void stop();
  // Checks that no process, no socket and no lock file is left.
  void check_nothing_is_left() const;

 private:
  std::shared_ptr<TemporaryFolder> folder_;
  std::unique_ptr<Program> program_;
  pid_t server_ = -1;
};

// The logs of daemons of the running test that are gone already; the report of a failed test shows them.
std::string& logs_of_this_test();

}  // namespace holdfast::test
