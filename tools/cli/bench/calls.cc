#include "tools/cli/bench/calls.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <utility>

namespace holdfast::cli::bench {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kCallTimeout{30};  // a call that takes longer ends the run

// How often a wait checks for signals.
constexpr milliseconds kSignalInterval{100};

}  // namespace

ipc::CallRequest add_request(const ipc::ModuleName& target) {
  return {.module = target.module,
          .version = target.version,
          .function = "add",
          .payload = ipc::as_bytes(kAddPayload),
          .timeout = kCallTimeout};
}

std::optional<Stop> problem_with(const ipc::Answer& answer, std::string_view function, std::string_view expected) {
  if (answer && answer->payload == expected) return std::nullopt;
  if (answer) {
    constexpr std::size_t kMostShown = 40;
    const std::string wanted = expected.size() > kMostShown ? "what was sent" : std::string(expected);
    return Stop{static_cast<int>(ExitCode::stopped), fmt::format("{} did not answer {}", function, wanted)};
  }
  return Stop{static_cast<int>(exit_code(answer.error().code)),
              fmt::format("{} failed: {}: {}", function, ipc::to_string(answer.error().code), answer.error().message)};
}

tl::expected<TimedAnswer, Stop> timed_answer(const Context& context, ipc::Client& client,
                                             const ipc::CallRequest& request) {
  std::optional<ipc::Answer> answer;
  const auto begin = Clock::now();
  client.start(request, [&](ipc::Answer arrived) { answer = std::move(arrived); });
  while (!answer) {
    client.run_once(kSignalInterval);
    if (answer) break;
    if (auto signal = interrupted(context)) return tl::unexpected(*signal);
  }
  const auto elapsed = Clock::now() - begin;
  return TimedAnswer{std::move(*answer), elapsed};
}

tl::expected<nanoseconds, Stop> timed_call(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                           std::string_view expected) {
  const auto timed = timed_answer(context, client, request);
  if (!timed) return tl::unexpected(timed.error());
  if (auto problem = problem_with(timed->answer, request.function, expected)) return tl::unexpected(*problem);
  return timed->elapsed;
}

std::optional<Stop> call_add(const Context& context, ipc::Client& client, const ipc::ModuleName& target) {
  const auto elapsed = timed_call(context, client, add_request(target));
  return elapsed ? std::nullopt : std::optional(elapsed.error());
}

tl::expected<ipc::WorkerList, Stop> list_workers(ipc::Client& client) {
  auto list = client.list_workers();
  if (!list) return stop(fmt::format("cannot list the workers: {}", list.error().message));
  return std::move(*list);
}

std::optional<Stop> wait_for_workers(const Context& context, ipc::Client& client, std::string_view what,
                                     const std::function<bool(const ipc::WorkerList&)>& as_wanted) {
  constexpr std::chrono::seconds kTimeout{10};
  constexpr timespec kPause = {0, 1'000'000};
  const auto deadline = Clock::now() + kTimeout;
  while (Clock::now() < deadline) {
    const auto list = list_workers(client);
    if (!list) return list.error();
    if (as_wanted(*list)) return std::nullopt;
    if (auto signal = interrupted(context)) return signal;
    ::nanosleep(&kPause, nullptr);
  }
  return stop(fmt::format("the supervisor had no {} for {} seconds", what, kTimeout.count())).value();
}

std::optional<Stop> wait_for_standby(const Context& context, ipc::Client& client) {
  return wait_for_workers(context, client, "standby", [](const ipc::WorkerList& list) {
    return std::ranges::any_of(list.workers,
                               [](const auto& worker) { return worker.state == ipc::WorkerState::standby; });
  });
}

CallBytes call_bytes(const ipc::CallRequest& request, std::string_view expected) {
  ipc::OutputBuffer out;
  ipc::OutputBuffer answer;
  ipc::encode(out, request);
  ipc::encode_result(answer, 1, {.payload = ipc::as_bytes(expected), .encoding = request.encoding}, ipc::Usage{});
  return {out.size_bytes(), answer.size_bytes()};
}

}  // namespace holdfast::cli::bench
