// The first process of a holdfastd that serves a socket. It starts the process that serves, passes on to it what a
// service manager says by signals, and ends with it. When the server's event loop does not turn any more, the monitor
// says where it is stuck, kills it, and starts another: holdfastd keeps its process id. It reads nothing from clients.
#pragma once

#include <optional>
#include <variant>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

// What the monitor and the server say to each other, a byte each.
enum class MonitorByte : char {
  is_serving = 's',  // the server's loop runs, and can be asked
  ask = '?',         // to be answered by the same
  end = 't',         // a SIGTERM or SIGINT came
  quit = 'q',        // a SIGQUIT came
  reload = 'h',      // a SIGHUP came
};

// In the process that is to serve. It ignores ipc::kSupervisorsSignals, which can be sent to all processes of a
// terminal or of a service.
struct Served {
  UniqueFd monitor;  // a stream; its end: the monitor is gone
  bool is_first;     // false: it takes the place of one that was stuck
};

// Returns in each process that is to serve, and, with the exit status of holdfastd, in the monitor when the last of
// them has ended. If that was ended by a signal, so is the monitor. `ready_fd` is left to the first server.
std::variant<int, Served> serve_under_monitor(std::optional<int> ready_fd);

}  // namespace holdfast::supervisor
