#include "ipc/call_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::ipc {

std::optional<Error> payload_problem(std::size_t bytes, std::uint64_t max_bytes) {
  if (bytes <= max_bytes) return std::nullopt;
  return make_error(ErrorCode::payload_too_large,
                    fmt::format("the payload has {} bytes; at most {} are allowed", bytes, max_bytes));
}

std::optional<Error> size_problem(const CallRequest& call, std::uint64_t max_payload_bytes) {
  if (auto problem = payload_problem(call.payload.size(), max_payload_bytes)) return problem;
  if (call.function.size() <= kMaxFunctionBytes) return std::nullopt;
  return make_error(ErrorCode::not_found, fmt::format("the function's name has {} bytes; at most {} are allowed",
                                                      call.function.size(), kMaxFunctionBytes));
}

std::chrono::nanoseconds call_time(std::chrono::nanoseconds wanted, const CallTimeouts& timeouts) {
  return wanted.count() == 0 ? timeouts.usual : std::min(wanted, timeouts.longest);
}

Error overdue(std::string_view rest, Executed executed) {
  return make_error(ErrorCode::deadline_exceeded, fmt::format("the call's time was over{}", rest), executed);
}

Error overdue_while_waiting() {
  return overdue("; its function was not on the CPU but waited for something", Executed::maybe);
}

Error cancelled_by_client(Executed executed) {
  return make_error(ErrorCode::cancelled, "the call was cancelled by its client", executed);
}

std::string id_in_use(std::string_view what, std::uint64_t id) {
  return fmt::format("{} id {} is used by a call that is still open", what, id);
}

}  // namespace holdfast::ipc
