#include "tools/cli/stats_command.h"

#include "ipc/client.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"

namespace holdfast::cli {

int stats_command(const StatsOptions& options) {
  auto client = ipc::Client::connect(options.socket, {.name = "holdfast " HOLDFAST_VERSION});
  if (!client) return tell_failure(as_error(client.error()));
  auto stats = client->stats();
  if (!stats) return tell_failure(stats.error());
  select_and_sort(*stats, options.filter);
  const bool written =
      write_standard_output(options.format == Format::json ? stats_as_json(*stats) : stats_as_table(*stats));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
