#include "tools/cli/stats_command.h"

#include <fmt/format.h>

#include "ipc/client.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"

namespace holdfast::cli {

int stats_command(const StatsOptions& options) {
  auto client = connect_to(options.supervisor);
  if (!client) return tell_failure(as_error(client.error()));
  auto stats = client->stats();
  if (!stats) return tell_failure(stats.error());
  select_and_sort(*stats, options.filter);
  const bool is_unknown = !options.filter.module.empty() && stats->modules.empty();
  if (is_unknown) {
    write_standard_error(
        fmt::format("error: no statistics of {} that this user may see: it was not called since holdfastd started; "
                    "check its name\n",
                    name_of(options.filter)));
    if (options.format == Format::text) return static_cast<int>(ExitCode::function_failed);
  }
  const bool written =
      write_standard_output(options.format == Format::json ? stats_as_json(*stats) : stats_as_table(*stats));
  if (!written) return static_cast<int>(ExitCode::stopped);
  return static_cast<int>(is_unknown ? ExitCode::function_failed : ExitCode::result);
}

}  // namespace holdfast::cli
