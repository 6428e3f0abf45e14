// The rules of a call that hold on each way to a worker: limits, times, and the errors for calls that miss them. The
// supervisor, a worker's direct line and the client library apply the same rules, so that a caller reads the same
// answer on each way. The functions are pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ipc/client_messages.h"
#include "ipc/error.h"

namespace holdfast::ipc {

// As protocol.capnp says of Call.function.
constexpr std::size_t kMaxFunctionBytes = 256;
// The largest payload of a call or a result that holdfastd takes. Clients learn it from the hello, workers when they
// load their module.
constexpr std::uint64_t kMaxPayloadBytes = std::uint64_t{16} << 20;

// The answer to a call with a payload of this size; nullopt if the payload is small enough.
std::optional<Error> payload_problem(std::size_t bytes, std::uint64_t max_bytes);
// The answer to a call whose payload or function's name is too long; nullopt if both are short enough.
std::optional<Error> size_problem(const CallRequest& call, std::uint64_t max_payload_bytes);

// How long a call may take from its receipt on. `wanted` is CallRequest::timeout.
std::chrono::nanoseconds call_time(std::chrono::nanoseconds wanted, const CallTimeouts& timeouts);

// deadline_exceeded: "the call's time was over" and the rest of the sentence, which begins with a space or a
// punctuation mark.
Error overdue(std::string_view rest, Executed executed = Executed::no);
// For a call whose function waits for something when its deadline passes.
Error overdue_while_waiting();
Error cancelled_by_client(Executed executed);

// The message for a client that breaks the protocol by using the id of something open once more. `what` is the kind of
// thing that has the id: "call" or "line".
std::string id_in_use(std::string_view what, std::uint64_t id);

}  // namespace holdfast::ipc
