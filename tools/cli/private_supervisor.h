// A holdfastd for this program alone: it serves one connection, which both sides hold from the start, so that there is
// no socket file, and it ends when that connection does, even if this program is killed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <unistd.h>
#include <vector>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/client.h"
#include "ipc/base/unique_fd.h"
#include "tools/cli/error_relay.h"

namespace holdfast::cli {

// A process that was started here and ends by itself once its sockets close. Whoever destroys it waits for that; a
// process that takes longer than a few seconds is killed.
class ChildProcess {
 public:
  explicit ChildProcess(pid_t pid);

  // Starts `program` with the descriptors `kept` open in it. It reads nothing, and what it prints goes to `errors`:
  // standard output is for results alone. It has its own process group, so that Ctrl-C at a terminal reaches
  // only this program, which ends what it has begun. The error says what could not be started, and why.
  static tl::expected<ChildProcess, std::string> start(const std::string& program,
                                                       const std::vector<std::string>& arguments,
                                                       std::span<const int> kept, int errors = STDERR_FILENO);

  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Waits for the end and tells it in words: "ended with exit code 1", "was killed by SIGSEGV".
  std::string wait();

 private:
  pid_t pid_;  // -1: nothing to wait for
};

// Why there is no private supervisor. What it printed itself is in the message, and nowhere else.
struct StartError {
  std::string message;
  bool is_usage = false;  // it refused its arguments
};

class PrivateSupervisor {
 public:
  // Starts holdfastd with `arguments` and waits until it has workers. The arguments must not name a socket or a client,
  // nor another format than text for its log.
  static tl::expected<PrivateSupervisor, StartError> start(const std::vector<std::string>& arguments);

  ipc::Client& client() { return client_; }
  pid_t pid() const { return process_.pid(); }

 private:
  PrivateSupervisor(std::unique_ptr<ErrorRelay> errors, ChildProcess process, ipc::Client client)
      : errors_(std::move(errors)), process_(std::move(process)), client_(std::move(client)) {}

  std::unique_ptr<ErrorRelay> errors_;  // what its end makes it say is still told
  ChildProcess process_;                // waited for after the client below has closed the connection
  ipc::Client client_;
};

// The holdfastd to start: HOLDFAST_SUPERVISOR, else the one that belongs to this program (installed beside it, or built
// in the same tree), else the first in PATH. The error says where it was looked for.
tl::expected<std::string, std::string> find_supervisor();

}  // namespace holdfast::cli
