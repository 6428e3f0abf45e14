// Single calls of the measured modules.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "ipc/base/module_name.h"
#include "ipc/client.h"
#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kAddPayload = R"({"a":1,"b":2})";
constexpr std::string_view kAddExpected = "3";
constexpr unsigned kWarmUpCalls = 1000;  // enough for V8 to have optimized the function

// A call of `add` with {"a":1,"b":2}, which must answer 3. `target` must outlive the request.
ipc::CallRequest add_request(const ipc::ModuleName& target);

// nullopt if `answer` is the result `expected`; otherwise what it is instead, with the matching exit code.
std::optional<Stop> problem_with(const ipc::Answer& answer, std::string_view function, std::string_view expected);

// Makes one call and waits for its answer, a result or an error; `elapsed` runs from just before the call was sent.
struct TimedAnswer {
  ipc::Answer answer;
  nanoseconds elapsed;
};
tl::expected<TimedAnswer, Stop> timed_answer(const Context& context, ipc::Client& client,
                                             const ipc::CallRequest& request);

// Makes one call, which must answer `expected`, and returns how long it took.
tl::expected<nanoseconds, Stop> timed_call(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                           std::string_view expected = kAddExpected);

// Calls `add` of the module without measuring it.
std::optional<Stop> call_add(const Context& context, ipc::Client& client, const ipc::ModuleName& target);

tl::expected<ipc::WorkerList, Stop> list_workers(ipc::Client& client);

// Polls the supervisor's list of workers until `as_wanted` is true, because the protocol has no event for that. Gives
// up after some seconds; the error says that `what` did not come.
std::optional<Stop> wait_for_workers(const Context& context, ipc::Client& client, std::string_view what,
                                     const std::function<bool(const ipc::WorkerList&)>& as_wanted);

// Waits until a standby is ready.
std::optional<Stop> wait_for_standby(const Context& context, ipc::Client& client);

// Sizes in bytes of the frames of one call and its answer between client and supervisor.
struct CallBytes {
  std::size_t request;
  std::size_t answer;
};
CallBytes call_bytes(const ipc::CallRequest& request, std::string_view expected);

}  // namespace holdfast::cli::bench
