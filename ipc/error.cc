#include "ipc/error.h"

#include <array>
#include <utility>

#include "ipc/base/json.h"
#include "ipc/base/text.h"

namespace holdfast::ipc {

Error make_error(ErrorCode code, std::string message, Executed executed) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  error.executed = executed;
  return error;
}

Error cleaned(Error error) {
  constexpr std::size_t kMaxTextBytes = 32 << 10;
  error.message = clean_utf8(error.message, kMaxTextBytes);
  error.stack = clean_utf8(error.stack, kMaxTextBytes);
  error.detail = clean_utf8(error.detail, kMaxTextBytes);
  if (error.properties.size() > kMaxPropertiesBytes || !is_json_object(error.properties)) error.properties.clear();
  return error;
}

bool is_workers_to_say(ErrorCode code, std::chrono::steady_clock::time_point deadline,
                       std::chrono::steady_clock::time_point now) {
  using enum ErrorCode;
  if (code == deadline_exceeded) return deadline <= now;
  return code == exception || code == not_found || code == not_serializable || code == payload_too_large ||
         code == protocol_error || code == cancelled;
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
