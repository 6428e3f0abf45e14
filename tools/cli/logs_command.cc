#include "tools/cli/logs_command.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include "ipc/client.h"
#include "tools/cli/log_listing.h"
#include "tools/cli/signal_watch.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

// True once a signal comes or the reader of standard output leaves; false if the connection is lost first.
bool follow(ipc::Client& client, SignalWatch& signals) {
  while (client.connected()) {
    client.run_once(milliseconds(0));
    if (!client.connected()) break;
    pollfd wanted[] = {{client.fd(), static_cast<short>(POLLIN | (client.unsent_bytes() > 0 ? POLLOUT : 0)), 0},
                       {signals.fd(), POLLIN, 0},
                       {STDOUT_FILENO, 0, 0}};
    ::poll(wanted, 3, -1);
    if (signals.take() || (wanted[2].revents & (POLLERR | POLLHUP)) != 0) return true;
  }
  return false;
}

// Whether the supervisor knows the module that was asked for; used when it has no lines to show.
bool is_known(ipc::Client& client, const ModuleFilter& filter) {
  auto stats = client.stats();
  if (!stats) return true;
  select_and_sort(*stats, filter);
  return !stats->modules.empty();
}

}  // namespace

int logs_command(const LogsOptions& options) {
  auto client = connect_to(options.supervisor);
  if (!client) return tell_failure(as_error(client.error()));
  SignalWatch signals;
  bool written = true;
  bool shown = false;
  const auto show = [&](const ipc::LogRecord& record) {
    shown = true;
    written =
        written && write_standard_output(options.format == Format::json ? log_as_json(record) : log_as_text(record));
  };
  const auto subscribed = client->subscribe_logs({.module = options.filter.module,
                                                  .version = options.filter.version,
                                                  .backlog = options.lines,
                                                  .follow = options.follow},
                                                 show);
  if (!subscribed) return tell_failure(subscribed.error());
  if (!options.filter.module.empty() && options.lines > 0 && !shown) {
    const bool known = is_known(*client, options.filter);
    const char* const text =
        known ? "note: no lines of {} are kept\n"
              : "error: no lines of {} are kept: it was not called since holdfastd started; check its name\n";
    write_standard_error(fmt::format(fmt::runtime(text), name_of(options.filter)));
    if (!known && !options.follow) return static_cast<int>(ExitCode::function_failed);
  }
  if (!options.follow || follow(*client, signals)) {
    return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
  }
  // Its error says why the connection was lost.
  const auto workers = client->list_workers();
  return workers ? static_cast<int>(ExitCode::stopped) : tell_failure(workers.error());
}

}  // namespace holdfast::cli
