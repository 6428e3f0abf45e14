#include "tools/cli/tell_failure.h"

#include <fmt/format.h>

#include "ipc/base/text.h"
#include "tools/cli/answer_output.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {

int tell_failure(const ipc::Error& error) {
  const Output output = render(tl::unexpected(error), Format::text);
  write_standard_error(output.standard_error);
  return static_cast<int>(output.exit_code);
}

int tell_usage_error(std::string_view message) {
  write_standard_error(fmt::format("error: {}\n", ipc::printable(message, ipc::Newlines::escape)));
  return static_cast<int>(ExitCode::usage);
}

}  // namespace holdfast::cli
