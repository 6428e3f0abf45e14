#include "ipc/error.h"

#include <array>
#include <utility>

namespace holdfast::ipc {

Error make_error(ErrorCode code, std::string message, Executed executed) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  error.executed = executed;
  return error;
}

std::string_view to_string(ErrorCode code) {
  static constexpr std::array<std::string_view, kErrorCodeCount> kNames = {
      "protocol_error", "not_found",         "load_failed",       "exception",         "deadline_exceeded",
      "cpu_exceeded",   "out_of_memory",     "sandbox_violation", "worker_crashed",    "overloaded",
      "cancelled",      "payload_too_large", "not_serializable",  "permission_denied", "unavailable",
  };
  return kNames[static_cast<std::size_t>(code)];
}

std::string_view to_string(Executed executed) {
  static constexpr std::array<std::string_view, 3> kNames = {"no", "maybe", "yes"};
  return kNames[static_cast<std::size_t>(executed)];
}

}  // namespace holdfast::ipc
