// How long a worker worked without a call between two looks.
#include "supervisor/workers/background_work.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Duration = BackgroundWork::Duration;

// A worker with a module and without calls, which was looked at once.
struct Worker {
  Worker() {
    load.send(now);
    load.succeed(now);
    look();
  }
  BackgroundWork::Finding look() { return work.look(meter, load, page, now); }
  // Time passes, of which the worker uses the CPU for `on_cpu`.
  void pass(Duration time, Duration on_cpu) {
    now += time;
    cpu_time += on_cpu;
    meter.read(cpu_time);
  }
  // By its page, what an answered call left behind has run since `start`.
  void runs_since(BackgroundWork::TimePoint start) {
    page = {.running = ipc::SharedPage::kBackground, .count = page.count + 1, .start = start};
  }

  BackgroundWork work;
  UsageMeter meter;
  ModuleLoad load;
  StretchView page;
  BackgroundWork::TimePoint now{1000s};
  Duration cpu_time{};
};

TEST_CASE("a worker that does nothing has not worked, and needs no look soon") {
  Worker worker;
  worker.pass(100ms, 0ms);
  const auto found = worker.look();
  CHECK(found.worked == 0ms);
  CHECK_FALSE(found.is_at_work);
}

TEST_CASE("by the page, a worker was at work since its stretch began, whether it had a CPU or not") {
  Worker worker;
  worker.runs_since(worker.now + 60ms);
  worker.pass(100ms, 1ms);
  const auto found = worker.look();
  CHECK(found.worked == 40ms);
  CHECK(found.is_at_work);
}

TEST_CASE("a worker was at work for no longer than since the last look") {
  Worker worker;
  worker.runs_since(worker.now - 1h);
  worker.pass(100ms, 1ms);
  CHECK(worker.look().worked == 100ms);
}

TEST_CASE("if the page says that nothing runs, the CPU time is left") {
  Worker worker;
  worker.pass(100ms, 30ms);
  const auto found = worker.look();
  CHECK(found.worked == 30ms);
  CHECK(found.is_at_work);
  worker.pass(100ms, 0ms);
  CHECK(worker.look().worked == 0ms);
}

TEST_CASE("a worker with a call has not worked without one") {
  Worker worker;
  worker.meter.call_begins();
  worker.pass(100ms, 30ms);
  const auto found = worker.look();
  CHECK(found.worked == 0ms);
  CHECK_FALSE(found.is_at_work);
}

TEST_CASE("work counts from the first look on that had no call before it") {
  Worker worker;
  worker.meter.call_begins();
  worker.meter.call_ends();
  worker.pass(100ms, 30ms);
  const auto rest_of_call = worker.look();
  CHECK(rest_of_call.worked == 0ms);
  CHECK(rest_of_call.is_at_work);
  worker.pass(100ms, 30ms);
  CHECK(worker.look().worked == 30ms);
}

TEST_CASE("a worker that is loading has not worked without a call") {
  Worker worker;
  worker.load = {};
  worker.load.send(worker.now);
  worker.pass(100ms, 30ms);
  const auto found = worker.look();
  CHECK(found.worked == 0ms);
  CHECK_FALSE(found.is_at_work);
}

TEST_CASE("the time for which a worker was halted is no work") {
  Worker worker;
  worker.runs_since(worker.now);
  worker.pass(1h, 0ms);
  worker.work.went_on(worker.now);
  worker.pass(20ms, 1ms);
  CHECK(worker.look().worked == 20ms);
}

}  // namespace
}  // namespace holdfast::supervisor
