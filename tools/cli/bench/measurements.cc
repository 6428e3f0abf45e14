#include "tools/cli/bench/measurements.h"

#include <algorithm>
#include <optional>
#include <time.h>

#include <fmt/format.h>

#include "tools/cli/answer_output.h"

namespace holdfast::cli::bench {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view kPayload = R"({"a":1,"b":2})";
constexpr std::string_view kExpected = "3";
constexpr std::chrono::seconds kCallTimeout{10};  // a call that takes this long ends the run
constexpr unsigned kWarmUpCalls = 1000;           // enough for V8 to have compiled the function well
constexpr unsigned kSlices = 5;

// How often a wait looks for signals.
constexpr milliseconds kSignalInterval{100};

ipc::CallRequest request_for(const ipc::ModuleName& target) {
  return {.module = target.module,
          .version = target.version,
          .function = "add",
          .payload = ipc::as_bytes(kPayload),
          .timeout = kCallTimeout};
}

tl::unexpected<Stop> stop(std::string message) {
  return tl::unexpected(Stop{static_cast<int>(ExitCode::stopped), std::move(message)});
}

std::optional<Stop> interrupted(Bench& bench) {
  if (const auto signal = bench.signals.take()) return Stop{exit_code_for_signal(*signal), {}};
  return std::nullopt;
}

std::optional<Stop> problem_with(const ipc::Answer& answer) {
  if (answer && answer->payload == kExpected) return std::nullopt;
  if (answer) return Stop{static_cast<int>(ExitCode::stopped), fmt::format("add did not answer {}", kExpected)};
  return Stop{static_cast<int>(exit_code(answer.error().code)),
              fmt::format("add failed: {}: {}", ipc::to_string(answer.error().code), answer.error().message)};
}

// Makes one call and checks its answer; returns how long it took.
tl::expected<nanoseconds, Stop> timed_call(Bench& bench, ipc::Client& client, const ipc::CallRequest& request) {
  std::optional<ipc::Answer> answer;
  const auto begin = Clock::now();
  client.start(request, [&](ipc::Answer arrived) { answer = std::move(arrived); });
  while (!answer) {
    client.run_once(kSignalInterval);
    if (answer) break;
    if (auto signal = interrupted(bench)) return tl::unexpected(*signal);
  }
  const auto elapsed = Clock::now() - begin;
  if (auto problem = problem_with(*answer)) return tl::unexpected(*problem);
  return elapsed;
}

tl::expected<std::vector<nanoseconds>, Stop> hot_calls(Bench& bench, ipc::Client& client, const ipc::ModuleName& target,
                                                       unsigned calls) {
  const auto request = request_for(target);
  std::vector<nanoseconds> samples;
  samples.reserve(calls);
  for (unsigned i = 0; i < calls; ++i) {
    const auto elapsed = timed_call(bench, client, request);
    if (!elapsed) return tl::unexpected(elapsed.error());
    samples.push_back(*elapsed);
  }
  if (auto signal = interrupted(bench)) return tl::unexpected(*signal);
  return samples;
}

tl::expected<std::vector<nanoseconds>, Stop> floor_round_trips(Floor& floor, unsigned count) {
  std::vector<nanoseconds> samples;
  samples.reserve(count);
  for (unsigned i = 0; i < count; ++i) {
    const auto begin = Clock::now();
    if (!floor.round_trip()) return stop("a process that measures the floor ended early");
    samples.push_back(Clock::now() - begin);
  }
  return samples;
}

std::optional<Stop> wait_for_standby(Bench& bench, ipc::Client& client) {
  constexpr std::chrono::seconds kTimeout{5};
  constexpr timespec kPause = {0, 1'000'000};  // there is no event to wait for in the protocol
  const auto deadline = Clock::now() + kTimeout;
  while (Clock::now() < deadline) {
    const auto list = client.list_workers();
    if (!list) return Stop{static_cast<int>(ExitCode::stopped), list.error().message};
    const auto is_standby = [](const ipc::WorkerInfo& worker) { return worker.state == ipc::WorkerState::standby; };
    if (std::ranges::any_of(list->workers, is_standby)) return std::nullopt;
    if (auto signal = interrupted(bench)) return signal;
    ::nanosleep(&kPause, nullptr);
  }
  return Stop{static_cast<int>(ExitCode::stopped), "the supervisor had no standby for 5 seconds"};
}

// One slice of a rate: keeps `in_flight` calls open until `duration` is over, then lets them end uncounted.
tl::expected<Rate, Stop> measure_slice(Bench& bench, ipc::Client& client, const ipc::ModuleName& target,
                                       unsigned in_flight, nanoseconds duration) {
  const auto request = request_for(target);
  std::size_t answered = 0;
  std::optional<Stop> problem;
  const auto begin = Clock::now();
  const auto end = begin + duration;
  auto last_answer = begin;
  std::function<void(ipc::Answer)> on_answer = [&](const ipc::Answer& answer) {
    if (!problem) problem = problem_with(answer);
    const auto now = Clock::now();
    if (problem || now >= end) return;
    ++answered;
    last_answer = now;
    client.start(request, [&](ipc::Answer next) { on_answer(std::move(next)); });
  };
  for (unsigned i = 0; i < in_flight; ++i) {
    client.start(request, [&](ipc::Answer next) { on_answer(std::move(next)); });
  }
  while (client.open_calls() > 0 || client.unsent_bytes() > 0) {
    client.run_once(kSignalInterval);
    if (Clock::now() < end) continue;
    if (auto signal = interrupted(bench)) return tl::unexpected(*signal);
  }
  client.run_once(milliseconds(0));  // answers that came with the connection's loss
  if (problem) return tl::unexpected(*problem);
  return Rate{in_flight, answered, last_answer - begin};
}

}  // namespace

CallBytes call_bytes(const ipc::ModuleName& target) {
  ipc::OutputBuffer request;
  ipc::OutputBuffer answer;
  ipc::encode(request, request_for(target));
  ipc::encode_result(answer, 1, {.payload = ipc::as_bytes(kExpected)}, ipc::Usage{});
  return {request.size_bytes(), answer.size_bytes()};
}

tl::expected<HotSamples, Stop> measure_hot(Bench& bench, ipc::Client& client, Floor& floor,
                                           const ipc::ModuleName& target, unsigned calls, unsigned rounds) {
  bench.progress("warming up");
  if (auto done = hot_calls(bench, client, target, kWarmUpCalls); !done) return tl::unexpected(done.error());
  if (auto done = floor_round_trips(floor, kWarmUpCalls); !done) return tl::unexpected(done.error());

  HotSamples all;
  for (unsigned round = 0; round < rounds; ++round) {
    bench.progress(fmt::format("floor and hot calls, round {} of {}", round + 1, rounds));
    const unsigned share = calls / rounds + (round < calls % rounds ? 1 : 0);
    const auto floor_samples = floor_round_trips(floor, share);
    if (!floor_samples) return tl::unexpected(floor_samples.error());
    const auto hot_samples = hot_calls(bench, client, target, share);
    if (!hot_samples) return tl::unexpected(hot_samples.error());
    all.floor.insert(all.floor.end(), floor_samples->begin(), floor_samples->end());
    all.hot.insert(all.hot.end(), hot_samples->begin(), hot_samples->end());
    all.rounds.push_back({summarize(*floor_samples).p50, summarize(*hot_samples).p50});
  }
  return all;
}

tl::expected<std::vector<nanoseconds>, Stop> measure_cold(Bench& bench, ipc::Client& client,
                                                          const std::vector<ipc::ModuleName>& modules,
                                                          Standby standby) {
  std::vector<nanoseconds> samples;
  for (const ipc::ModuleName& module : modules) {
    bench.progress(fmt::format("cold calls {}, {} of {}",
                               standby == Standby::none ? "without standbys" : "with a standby", samples.size() + 1,
                               modules.size()));
    if (standby == Standby::awaited) {
      if (auto problem = wait_for_standby(bench, client)) return tl::unexpected(*problem);
    }
    const auto elapsed = timed_call(bench, client, request_for(module));
    if (!elapsed) return tl::unexpected(elapsed.error());
    samples.push_back(*elapsed);
    if (auto signal = interrupted(bench)) return tl::unexpected(*signal);
  }
  return samples;
}

tl::expected<std::vector<Rate>, Stop> measure_rates(Bench& bench, ipc::Client& client, const ipc::ModuleName& target,
                                                    const std::vector<unsigned>& in_flight, nanoseconds duration) {
  std::vector<Rate> rates;
  for (const unsigned count : in_flight) rates.push_back({.in_flight = count});
  for (unsigned slice = 0; slice < kSlices; ++slice) {
    for (Rate& rate : rates) {
      bench.progress(fmt::format("calls per second, {} in flight, slice {} of {}", rate.in_flight, slice + 1, kSlices));
      const auto part = measure_slice(bench, client, target, rate.in_flight, duration / kSlices);
      if (!part) return tl::unexpected(part.error());
      rate.calls += part->calls;
      rate.elapsed += part->elapsed;
    }
  }
  return rates;
}

}  // namespace holdfast::cli::bench
