#include "tools/cli/load_command.h"

#include <fmt/format.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/client.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/folder_loader.h"
#include "tools/cli/signal_watch.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"

namespace holdfast::cli {
namespace {

using std::chrono::milliseconds;

std::string line_on(const ipc::ModuleName& name, const ipc::LoadOutcome& outcome) {
  const std::string module = to_string(name);
  if (const auto* source = std::get_if<ipc::LoadedSource>(&outcome)) {
    return fmt::format("{}: {}, {}\n", module, source->file_name, ipc::format_size(source->text.size()));
  }
  if (const auto* failure = std::get_if<ipc::LoadFailure>(&outcome)) {
    return fmt::format("{}: {}\n", module, ipc::printable(failure->reason, ipc::Newlines::escape));
  }
  return fmt::format("{}: not found\n", module);
}

// Serves until a signal comes; false if the connection was lost first.
bool serve(ipc::Client& client) {
  SignalWatch signals;
  while (client.connected()) {
    client.run_once(milliseconds(0));
    if (!client.connected()) return false;
    pollfd wanted[] = {{client.fd(), static_cast<short>(POLLIN | (client.unsent_bytes() > 0 ? POLLOUT : 0)), 0},
                       {signals.fd(), POLLIN, 0}};
    ::poll(wanted, 2, -1);
    if (signals.take()) return true;
  }
  return false;
}

}  // namespace

int load_command(const LoadOptions& options) {
  std::error_code error;
  if (!std::filesystem::is_directory(options.folder, error)) {
    return tell_usage_error(fmt::format("cannot load modules from {}: {}", options.folder,
                                        error ? error.message() : std::string("it is not a folder")));
  }
  auto client = connect_to(options.supervisor);
  if (!client) return tell_failure(as_error(client.error()));
  const auto load = [&, max_bytes = client->server().max_source_bytes](const ipc::ModuleName& name) {
    ipc::LoadOutcome outcome = load_from_folder(options.folder, name, max_bytes);
    if (options.verbose) write_standard_error(line_on(name, outcome));
    return outcome;
  };
  if (const auto registered = client->register_loader(load, options.timeout); !registered) {
    return tell_failure(registered.error());
  }
  if (options.verbose) write_standard_error(fmt::format("loading modules from {}\n", options.folder));
  if (serve(*client)) return static_cast<int>(ExitCode::result);
  // Its error says why the connection was lost.
  const auto workers = client->list_workers();
  return workers ? static_cast<int>(ExitCode::stopped) : tell_failure(workers.error());
}

}  // namespace holdfast::cli
