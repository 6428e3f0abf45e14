// The supervisors that suites measure: private ones, and one that runs already.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>
#include <tl/expected.hpp>

#include "ipc/client.h"
#include "ipc/base/unique_fd.h"
#include "tools/cli/bench/suite.h"
#include "tools/cli/private_supervisor.h"

namespace holdfast::cli::bench {

// A holdfastd on a socket of its own, with the modules of the program's folder. Unlike PrivateSupervisor it takes many
// clients.
class BenchSupervisor {
 public:
  // Starts it with the options' profile and the like, and `flags`; waits until it accepts clients. `name` is of its
  // socket: no other that runs may have it. It ends with its owner, and when this program does, however that comes.
  static tl::expected<BenchSupervisor, Stop> start(const Context& context, const std::string& name,
                                                   const std::vector<std::string>& flags);

  // Of the process that serves, not of its monitor.
  pid_t pid() const { return server_; }
  const std::string& socket() const { return socket_; }
  // The client that it was started with.
  ipc::Client& client() { return *client_; }

 private:
  BenchSupervisor(ChildProcess process, std::string socket);

  std::optional<Stop> set_guard();

  // In the order in which they are let go, from the last: once the lifeline is closed the guard ends the supervisor,
  // and both are waited for.
  ChildProcess process_;
  pid_t server_;
  std::optional<ChildProcess> guard_;
  UniqueFd lifeline_;
  std::string socket_;
  std::optional<ipc::Client> client_;
};

// What most suites have: room for so many modules at once, with so many standbys; 0: never any.
std::vector<std::string> pool_flags(std::size_t workers, unsigned standbys);

// A client of the supervisor at `socket`.
tl::expected<ipc::Client, Stop> connect_to(const Context& context, const std::string& socket);

// A warm module whose `add` is called: of a supervisor of its own, or of the running one that the options name.
class Target {
 public:
  // `flags` are of a supervisor of its own.
  static tl::expected<Target, Stop> open(const Context& context, const std::vector<std::string>& flags = {});

  ipc::Client& client() { return supervisor_ ? supervisor_->client() : *client_; }
  const std::string& socket() const { return socket_; }
  const ipc::ModuleName& module() const { return module_; }
  // 0: of one that was running before, which is not known.
  pid_t supervisor_pid() const { return supervisor_ ? supervisor_->pid() : 0; }

 private:
  Target() = default;

  std::optional<BenchSupervisor> supervisor_;
  std::optional<ipc::Client> client_;  // of one that was running
  std::string socket_;
  ipc::ModuleName module_;
};

}  // namespace holdfast::cli::bench
