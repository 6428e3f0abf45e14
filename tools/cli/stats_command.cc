#include "tools/cli/stats_command.h"

#include "ipc/client.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {
namespace {

// Always as text: with --json an error's object in the place of the statistics' would only mislead.
int fail(const ipc::Error& error) {
  const Output output = render(tl::unexpected(error), Format::text);
  write_standard_error(output.standard_error);
  return static_cast<int>(output.exit_code);
}

}  // namespace

int stats_command(const StatsOptions& options) {
  auto client = ipc::Client::connect(options.socket, {.name = "holdfast " HOLDFAST_VERSION});
  if (!client) return fail(as_error(client.error()));
  auto stats = client->stats();
  if (!stats) return fail(stats.error());
  select_and_sort(*stats, options.filter);
  const bool written =
      write_standard_output(options.format == Format::json ? stats_as_json(*stats) : stats_as_table(*stats));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
