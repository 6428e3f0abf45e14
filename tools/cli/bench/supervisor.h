// The supervisors that suites measure: private ones, or one that is already running.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/client.h"
#include "tools/cli/bench/suite.h"
#include "tools/cli/private_supervisor.h"

namespace holdfast::cli::bench {

// A holdfastd on its own socket, with the modules of the program's folder. Unlike PrivateSupervisor, it takes many
// clients.
class BenchSupervisor {
 public:
  // Starts the supervisor with the flags that the options set and with `flags`, and waits until it accepts clients.
  // `name` names its socket and must be unique among the supervisors that run. The supervisor ends with this object,
  // and with this program even if that is killed.
  static tl::expected<BenchSupervisor, Stop> start(const Context& context, const std::string& name,
                                                   const std::vector<std::string>& flags);

  // The pid of the process that serves, not of its monitor.
  pid_t pid() const { return server_; }
  const std::string& socket() const { return socket_; }
  // The client that start() connected.
  ipc::Client& client() { return *client_; }

 private:
  BenchSupervisor(ChildProcess process, std::string socket);

  std::optional<Stop> set_guard();

  // Destroyed from last to first: closing the lifeline makes the guard end the supervisor, then both are waited for.
  ChildProcess process_;
  pid_t server_;
  std::optional<ChildProcess> guard_;
  UniqueFd lifeline_;
  std::string socket_;
  std::optional<ipc::Client> client_;
};

// Flags of most suites: room for `workers` modules at once, and `standbys` standbys; 0: none.
std::vector<std::string> pool_flags(std::size_t workers, unsigned standbys);

// Connects a client to the supervisor at `socket`.
tl::expected<ipc::Client, Stop> connect_to(const Context& context, const std::string& socket);

// A warm module whose `add` is called, in a private supervisor or in the running one that the options name.
class Target {
 public:
  // Opens the target; `flags` are for a private supervisor.
  static tl::expected<Target, Stop> open(const Context& context, const std::vector<std::string>& flags = {});

  ipc::Client& client() { return supervisor_ ? supervisor_->client() : *client_; }
  const std::string& socket() const { return socket_; }
  const ipc::ModuleName& module() const { return module_; }
  // 0 for a supervisor that was already running: its pid is not known.
  pid_t supervisor_pid() const { return supervisor_ ? supervisor_->pid() : 0; }

 private:
  Target() = default;

  std::optional<BenchSupervisor> supervisor_;
  std::optional<ipc::Client> client_;  // for a supervisor that was already running
  std::string socket_;
  ipc::ModuleName module_;
};

}  // namespace holdfast::cli::bench
