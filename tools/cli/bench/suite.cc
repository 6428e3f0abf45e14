#include "tools/cli/bench/suite.h"

#include <utility>

namespace holdfast::cli::bench {

tl::unexpected<Stop> stop(std::string message) {
  return tl::unexpected(Stop{static_cast<int>(ExitCode::stopped), std::move(message)});
}

std::optional<Stop> interrupted(const Context& context) {
  if (const auto signal = context.signals.take()) return Stop{exit_code_for_signal(*signal), {}};
  return std::nullopt;
}

}  // namespace holdfast::cli::bench
