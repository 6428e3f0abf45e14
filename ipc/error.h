// The one error type of Holdfast: a call ends with an Error if it does not end with a result. The codes are stable;
// protocol.capnp defines each.
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
  std::string properties = {};  // for a program: own properties of the thrown error as one JSON object; or empty
};

constexpr std::size_t kMaxPropertiesBytes = 4096;

Error make_error(ErrorCode code, std::string message, Executed executed = Executed::no);

// Makes an error from a worker safe to pass on. Removes properties that do not have the form that protocol.capnp
// demands.
Error cleaned(Error error);

// Whether a worker may answer a call with this code, because what the function did can cause it. A worker that sends
// another code pretends to be the supervisor. deadline_exceeded is allowed once `deadline` has passed at `now`.
bool is_workers_to_say(ErrorCode code, std::chrono::steady_clock::time_point deadline,
                       std::chrono::steady_clock::time_point now);

// The code's name as users see it, in JSON, logs and docs: "deadline_exceeded".
std::string_view to_string(ErrorCode code);
std::string_view to_string(Executed executed);

}  // namespace holdfast::ipc
