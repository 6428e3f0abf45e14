#include "tools/cli/tell_failure.h"

#include "tools/cli/answer_output.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {

int tell_failure(const ipc::Error& error) {
  const Output output = render(tl::unexpected(error), Format::text);
  write_standard_error(output.standard_error);
  return static_cast<int>(output.exit_code);
}

}  // namespace holdfast::cli
