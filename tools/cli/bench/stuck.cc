// A call that never returns: how soon after its limit the client gets the error, and how soon its module answers
// again.
#include <fmt/format.h>

#include <array>
#include <utility>

#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/supervisor.h"

namespace holdfast::cli::bench {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBudget{50};

// The limit that ends the call.
struct Limit {
  const char* name;
  std::vector<std::string> flags;
  milliseconds timeout;  // the call's timeout
  ipc::ErrorCode code;   // the error with which the call must end
};

class StuckModules {
 public:
  // A new module for each sample, so that none is held off for its earlier calls.
  StuckModules(const Context& context, const Limit& limit, ipc::Client& client, std::vector<ipc::ModuleName> modules)
      : context_(context), limit_(limit), client_(client), modules_(std::move(modules)) {}

  // Time from the call's limit to its error.
  tl::expected<nanoseconds, Stop> error() {
    const ipc::ModuleName& module = modules_.at(next_);
    if (auto problem = call_add(context_, client_, module)) return tl::unexpected(*problem);
    ipc::CallRequest request = add_request(module);
    request.function = "stick";
    request.timeout = limit_.timeout;
    budget_end_ = Clock::now() + kBudget;
    const auto timed = timed_answer(context_, client_, request);
    if (!timed) return tl::unexpected(timed.error());
    if (timed->answer || timed->answer.error().code != limit_.code) {
      return stop(fmt::format("a call that never returns ended with {}, not with {}",
                              timed->answer ? "a result" : ipc::to_string(timed->answer.error().code),
                              ipc::to_string(limit_.code)));
    }
    return Clock::now() - budget_end_;
  }

  // Time from the call's limit to the next result of the same module, for a call that is made once the error is
  // there.
  tl::expected<nanoseconds, Stop> recovery() {
    if (auto problem = call_add(context_, client_, modules_.at(next_++))) return tl::unexpected(*problem);
    return Clock::now() - budget_end_;
  }

 private:
  const Context& context_;
  const Limit& limit_;
  ipc::Client& client_;
  const std::vector<ipc::ModuleName> modules_;
  std::size_t next_ = 0;
  Clock::time_point budget_end_;
};

}  // namespace

Sections run_stuck(const Context& context) {
  context.progress("stuck calls: starting");
  const unsigned samples = context.options.cold_calls;
  const std::array limits = {Limit{"stretch",
                                   {"--stretch", fmt::format("{}ms", kBudget.count())},
                                   std::chrono::seconds(30),
                                   ipc::ErrorCode::cpu_exceeded},
                             Limit{"deadline", {"--stretch", "30s"}, kBudget, ipc::ErrorCode::deadline_exceeded}};
  auto series = fork_floors(context);
  if (!series) return tl::unexpected(series.error());
  const ipc::ModuleName any{"stuck-stretch-0", "bench"};
  const CallBytes frames = call_bytes(add_request(any), kAddExpected);
  auto byte_series = byte_floors(frames.request, frames.answer);
  if (!byte_series) return tl::unexpected(byte_series.error());
  std::move(byte_series->begin(), byte_series->end(), std::back_inserter(*series));

  std::vector<BenchSupervisor> supervisors;
  std::vector<StuckModules> stuck;
  supervisors.reserve(limits.size());
  stuck.reserve(limits.size());
  for (const Limit& limit : limits) {
    auto modules = context.files.write_many(fmt::format("stuck-{}", limit.name), samples);
    if (!modules) return stop(modules.error());
    std::vector<std::string> flags = pool_flags(samples + 1, 1);
    flags.insert(flags.end(), limit.flags.begin(), limit.flags.end());
    auto supervisor = BenchSupervisor::start(context, limit.name, flags);
    if (!supervisor) return tl::unexpected(supervisor.error());
    supervisors.push_back(std::move(*supervisor));
    StuckModules& each = stuck.emplace_back(context, limit, supervisors.back().client(), std::move(*modules));
    const std::vector<Value> parameters = {text("limit", limit.name), duration("budget", kBudget)};
    series->push_back({{.what = fmt::format("from the {}'s end to the error", limit.name), .parameters = parameters},
                       [&each] { return each.error(); }});
    series->push_back(
        {{.what = fmt::format("from the {}'s end to the next good answer", limit.name), .parameters = parameters},
         [&each] { return each.recovery(); }});
  }
  // In each round one call gets stuck and the next one succeeds.
  auto rows = measure(context, "stuck calls", *series, {.samples = samples, .rounds = samples});
  if (!rows) return tl::unexpected(rows.error());
  Section section{.key = "stuck",
                  .title = "STUCK CALLS",
                  .rows = std::move(*rows),
                  .notes = {"A call runs while (true) {} in a warm module; its time counts from when it was sent. The "
                            "next good answer comes from a fresh worker that was a standby."},
                  .curves = {{.name = "stuck", .title = "After the end of a stuck call's time", .x = {}}}};
  return std::vector{std::move(section)};
}

}  // namespace holdfast::cli::bench
