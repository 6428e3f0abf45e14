#include "tools/cli/ps_command.h"

#include "ipc/client.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/tell_failure.h"
#include "tools/cli/worker_listing.h"

namespace holdfast::cli {

int ps_command(const PsOptions& options) {
  auto client = connect_to(options.supervisor);
  if (!client) return tell_failure(as_error(client.error()));
  const auto list = client->list_workers();
  if (!list) return tell_failure(list.error());
  const bool written = write_standard_output(options.format == Format::json ? listing_as_json(list->workers)
                                                                            : listing_as_table(list->workers));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
