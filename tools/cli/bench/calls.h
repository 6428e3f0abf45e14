// Calls of the modules that are measured, one at a time.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "ipc/client.h"
#include "ipc/base/module_name.h"
#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kAddPayload = R"({"a":1,"b":2})";
constexpr std::string_view kAddExpected = "3";
constexpr unsigned kWarmUpCalls = 1000;  // enough for V8 to have compiled the function well

// {"a":1,"b":2} to `add`, which must answer 3. `target` must outlive the request.
ipc::CallRequest add_request(const ipc::ModuleName& target);

// Nothing if `answer` is this result; else what it is instead, with the exit code that belongs to it.
std::optional<Stop> problem_with(const ipc::Answer& answer, std::string_view function, std::string_view expected);

// Makes one call and waits for its answer, whatever it is; `elapsed` is from just before it was sent.
struct TimedAnswer {
  ipc::Answer answer;
  nanoseconds elapsed;
};
tl::expected<TimedAnswer, Stop> timed_answer(const Context& context, ipc::Client& client,
                                             const ipc::CallRequest& request);

// The same of a call that must answer `expected`; how long it took.
tl::expected<nanoseconds, Stop> timed_call(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                           std::string_view expected = kAddExpected);

// Calls `add` of the module without counting it.
std::optional<Stop> call_add(const Context& context, ipc::Client& client, const ipc::ModuleName& target);

tl::expected<ipc::WorkerList, Stop> list_workers(ipc::Client& client);

// Looks at the supervisor's workers until they are as wanted, for some seconds; there is no event to wait for in the
// protocol. The error says that `what` did not come.
std::optional<Stop> wait_for_workers(const Context& context, ipc::Client& client, std::string_view what,
                                     const std::function<bool(const ipc::WorkerList&)>& as_wanted);

// Until a standby is ready.
std::optional<Stop> wait_for_standby(const Context& context, ipc::Client& client);

// The bytes that one call and its answer take in frames between client and supervisor.
struct CallBytes {
  std::size_t request;
  std::size_t answer;
};
CallBytes call_bytes(const ipc::CallRequest& request, std::string_view expected);

}  // namespace holdfast::cli::bench
