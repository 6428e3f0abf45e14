#include "tools/cli/ps_command.h"

#include "ipc/client.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/worker_listing.h"

namespace holdfast::cli {
namespace {

// Always as text: with --json the list is an array, and an object in its place would only mislead.
int fail(const ipc::Error& error) {
  const Output output = render(tl::unexpected(error), Format::text);
  write_standard_error(output.standard_error);
  return static_cast<int>(output.exit_code);
}

}  // namespace

int ps_command(const std::string& socket, Format format) {
  auto client = ipc::Client::connect(socket, {.name = "holdfast " HOLDFAST_VERSION});
  if (!client) return fail(as_error(client.error()));
  const auto list = client->list_workers();
  if (!list) return fail(list.error());
  const bool written =
      write_standard_output(format == Format::json ? listing_as_json(list->workers) : listing_as_table(list->workers));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
