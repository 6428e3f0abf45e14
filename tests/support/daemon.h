// A holdfastd of a test's own, with modules that the test wrote.
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include <sys/types.h>

#include "ipc/client.h"
#include "tests/support/program.h"

namespace holdfast::test {

// What --profile takes: V8 with and without code generated at run time.
inline constexpr std::initializer_list<const char*> kProfiles = {"jit", "strict"};

struct Module {
  std::string name;
  std::string code;
  std::string version = "v1";
};

struct DaemonOptions {
  std::vector<Module> modules;
  std::vector<std::string> flags;                // further ones for holdfastd
  std::string supervisor = {};                   // another program than holdfastd
  std::string worker = {};                       // another program than holdfast-worker
  bool holds_off = false;                        // modules that fail again and again; most tests want them to
  bool as_nobody = false;                        // if it can be: if the test runs as root
  bool before_pass_rights = false;               // see ProgramOptions
  int errors = -1;                               // see ProgramOptions
  std::function<bool()> before_exec = {};        // see ProgramOptions
  std::shared_ptr<TemporaryFolder> folder = {};  // another daemon's, whose socket and modules this one takes over
};

class Daemon {
 public:
  // Starts it, as nobody if that is asked for here or by the environment (as_nobody.h), and waits until it accepts
  // clients; fails the test if it does not come up.
  explicit Daemon(DaemonOptions options);
  // Kills it, if stop() or wait() was not called.
  ~Daemon();
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;

  // The process that serves; the monitor is the one that was started.
  pid_t pid() const { return server_; }
  pid_t monitor() const { return program_->pid(); }
  // The server's one child, which starts the launcher, which waits for the zygote, the zygote, and the zygote's
  // children. Each fails the test if there is none.
  pid_t broker() const;
  pid_t launcher() const;
  pid_t zygote() const;
  std::vector<pid_t> workers() const;

  const std::shared_ptr<TemporaryFolder>& folder() const { return folder_; }
  std::string socket_path() const { return folder_->path() / "holdfast.sock"; }
  void add_module(const Module& module) const;
  ipc::Client connect() const;

  // What it has logged so far.
  std::string log() const { return program_->errors(); }
  // Waits until `text` is in the log; false if that does not happen.
  bool logged(const std::string& text) const;

  // To the monitor what a service manager sends, else to the server.
  void signal(int number) const;
  // Waits for its end, see Program::wait().
  int wait() { return program_->wait(); }
  // SIGTERM, and checks that it ends well and that nothing is left of it: no process, no socket, no lock.
  void stop();
  // Checks the latter.
  void check_nothing_is_left() const;

 private:
  std::shared_ptr<TemporaryFolder> folder_;
  std::unique_ptr<Program> program_;
  pid_t server_ = -1;
};

// What the daemons of the running test have logged that are gone already; whoever tells of a failed test shows it.
std::string& logs_of_this_test();

}  // namespace holdfast::test
