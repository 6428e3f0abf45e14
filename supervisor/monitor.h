// The first process of a holdfastd that serves a socket. It starts the process that serves, passes on to it what a
// service manager says by signals, and ends with it. When the server's event loop is stuck, the monitor logs where,
// kills the server and starts another, so that holdfastd keeps its process id. The monitor reads nothing from
// clients.
#pragma once

#include <optional>
#include <variant>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

// What the monitor and the server say to each other, one byte each.
enum class MonitorByte : char {
  is_serving = 's',  // the server's event loop runs, and may be asked
  ask = '?',         // the server answers with the same byte
  end = 't',         // a SIGTERM or SIGINT came
  quit = 'q',        // a SIGQUIT came
  reload = 'h',      // a SIGHUP came
};

// What the process that must serve gets. It ignores ipc::kSupervisorsSignals, because they can be sent to all
// processes of a terminal or of a service.
struct Served {
  UniqueFd monitor;  // a stream; at its end the monitor is gone
  bool is_first;     // false: it replaces a server that was stuck
};

// Returns in each process that must serve, and in the monitor when the last of them has ended, there with the exit
// status of holdfastd. If a signal ended that server, the monitor ends by the same signal. Only the first server
// keeps `ready_fd` open.
std::variant<int, Served> serve_under_monitor(std::optional<int> ready_fd);

}  // namespace holdfast::supervisor
