// The one error type of Holdfast: what a call ends with when it does not end with a result. The codes are stable;
// protocol.capnp says what each means.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// Same numbers as ErrorCode in protocol.capnp.
enum class ErrorCode : std::uint16_t {
  protocol_error,
  not_found,
  load_failed,
  exception,
  deadline_exceeded,
  cpu_exceeded,
  out_of_memory,
  sandbox_violation,
  worker_crashed,
  overloaded,
  cancelled,
  payload_too_large,
  not_serializable,
  permission_denied,
  unavailable,
};
constexpr std::uint16_t kErrorCodeCount = 15;

// Whether the function ran; same numbers as Executed in protocol.capnp.
enum class Executed : std::uint16_t { no, maybe, yes };

struct Error {
  ErrorCode code = ErrorCode::unavailable;
  std::string message;  // for a person
  std::string stack;    // the JavaScript stack, one frame a line; empty where there is none
  bool retryable = false;
  Executed executed = Executed::no;
  std::string detail;  // for a program; see protocol.capnp
  std::chrono::milliseconds retry_after{0};
  std::string properties = {};  // JSON of an object, for a program: the thrown error's own properties; or empty
};

constexpr std::size_t kMaxPropertiesBytes = 4096;

Error make_error(ErrorCode code, std::string message, Executed executed = Executed::no);

// What a worker sent under the name of an error, made fit to pass on. Properties that are not what protocol.capnp says
// of them are left out.
Error cleaned(Error error);

// Whether a call can end with this error by what its function did. A worker that sends another would pass its own word
// off as the supervisor's. Of a call that it came to too late it may say so once that is true.
bool is_workers_to_say(ErrorCode code, std::chrono::steady_clock::time_point deadline,
                       std::chrono::steady_clock::time_point now);

// The code's name as users see it, in JSON, logs and docs: "deadline_exceeded".
std::string_view to_string(ErrorCode code);
std::string_view to_string(Executed executed);

}  // namespace holdfast::ipc
