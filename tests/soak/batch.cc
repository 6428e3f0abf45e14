#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <thread>

#include "tests/soak/forms.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::soak {
namespace {

constexpr std::size_t kMostInstances = 4;

// About five milliseconds of CPU time.
const char* const kWork = R"js(
    exports.work = (payload) => {
      let sum = 0;
      for (let i = 0; i < 1e6; i++) sum = (sum * 31 + i) | 0;
      return payload;
    };
)js";

bool has_module(const ipc::WorkerInfo& worker) { return !worker.module.empty(); }

// Measures the calls per second with at most this many worker processes, and notes how many there were.
double rate_of_batch(Run& run, std::size_t calls_in_all, std::size_t max_instances) {
  test::Daemon daemon({.modules = {{"worker", kWork}},
                       .flags = {"--max-instances", std::to_string(max_instances), "--idle-timeout", "500ms",
                                 "--timeout", "120s", "--log-level", "warning"},
                       .as_nobody = run.as_nobody});
  double rate = 0;
  {
    ipc::Client client = daemon.connect();
    ipc::Client observer = daemon.connect();
    test::Calls calls(client);
    const auto begin = Clock::now();
    std::size_t most = 0;
    for (std::size_t i = 0; i < calls_in_all; ++i) {
      calls.start({"worker", "work", std::to_string(i)});
      // Keeps this many calls open, enough for all workers.
      constexpr std::size_t kOpen = 256;
      if (i >= kOpen) calls.wait_for(i - kOpen);
      if (i % kOpen == 0) {
        const auto all = test::workers(observer);
        most = std::max<std::size_t>(most, std::count_if(all.begin(), all.end(), has_module));
      }
    }
    calls.wait_for_all();
    rate = static_cast<double>(calls_in_all) / (in_millis(Clock::now() - begin) / 1000);
    for (std::size_t i = 0; i < calls_in_all; ++i) {
      if (test::outcome(calls.answer(i)) != std::to_string(i)) run.report.broken(test::outcome(calls.answer(i)));
    }
    const std::size_t expected =
        std::min<std::size_t>(max_instances, std::max(std::thread::hardware_concurrency(), 1U));
    run.report.figure(fmt::format("processes, of at most {}", max_instances), most);
    if (most != expected) run.report.broken(fmt::format("{} processes served a batch, expected {}", most, expected));
    if (!test::eventually([&] {
          const auto all = test::workers(observer);
          return std::none_of(all.begin(), all.end(), has_module);
        })) {
      run.report.broken("a worker is left after all calls ended");
    }
  }
  daemon.stop();
  return rate;
}

}  // namespace

void run_batch(Run& run, std::size_t calls) {
  const double alone = rate_of_batch(run, calls, 1);
  const double together = rate_of_batch(run, calls, kMostInstances);
  run.report.figure("calls/s of one process", alone);
  run.report.figure("calls/s of several", together);
  run.report.figure("ratio", together / alone);
}

}  // namespace holdfast::soak
