// A holdfastd for this program alone. It serves one connection, which both sides have from the start, so there is no
// socket file. It ends when that connection closes, even if this program is killed.
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/client.h"
#include "tools/cli/error_relay.h"

namespace holdfast::cli {

// A child process that ends by itself once its sockets close. The destructor waits for that, and kills the process
// after 5 s.
class ChildProcess {
 public:
  explicit ChildProcess(pid_t pid);

  // Starts `program` with the descriptors `kept` open in it. Its standard input is empty, and its standard output and
  // error go to `errors`, because standard output is for results alone. It gets its own process group, so that Ctrl-C
  // at a terminal reaches only this program, which then ends the child. The error says what could not be started, and
  // why.
  static tl::expected<ChildProcess, std::string> start(const std::string& program,
                                                       const std::vector<std::string>& arguments,
                                                       std::span<const int> kept, int errors = STDERR_FILENO);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Waits for the end, kills the process after 5 s, and describes the end: "ended with exit code 1", "was killed by
  // SIGSEGV".
  std::string wait();

 private:
  pid_t pid_;  // -1: nothing to wait for
};

// Why there is no private supervisor. What the supervisor printed is in the message, and nowhere else.
struct StartError {
  std::string message;
  bool is_usage = false;  // holdfastd refused its arguments
};

class PrivateSupervisor {
 public:
  // Starts holdfastd with `arguments` and waits until it has workers. The arguments must not name a socket or a
  // client, or a log format other than text.
  static tl::expected<PrivateSupervisor, StartError> start(const std::vector<std::string>& arguments);

  ipc::Client& client() { return client_; }
  pid_t pid() const { return process_.pid(); }

 private:
  PrivateSupervisor(std::unique_ptr<ErrorRelay> errors, ChildProcess process, ipc::Client client)
      : errors_(std::move(errors)), process_(std::move(process)), client_(std::move(client)) {}

  std::unique_ptr<ErrorRelay> errors_;  // still passes on what the supervisor prints at its end
  ChildProcess process_;                // destroyed after client_, which closes the connection
  ipc::Client client_;
};

// The path of the holdfastd to start: HOLDFAST_SUPERVISOR, else the one that belongs to this program (installed
// beside it, or built in the same tree), else the first in PATH. The error says which places were searched.
tl::expected<std::string, std::string> find_supervisor();

}  // namespace holdfast::cli
