// The bounds on a module's wait, its share of the slots, and the cost of switching: docs/architecture.md, "Fairness".
// If a world breaks a bound, its seed is printed, and it can be run alone:
//   HOLDFAST_SEED=17 build/tests/unit/simulation_tests --test-case='*fair*'
#include "tests/unit/scheduler/fairness_simulation.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <string>

namespace holdfast::supervisor::testing {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned long long kFairnessSeeds = 6;
#else
constexpr unsigned long long kFairnessSeeds = 30;
#endif

FairnessResult run(const FairnessWorld& world) { return FairnessSimulation(world).run(); }

// Runs the world without switching: the slices never end.
FairnessResult run_without_switching(FairnessWorld world) {
  world.options.slice = 100h;
  return run(world);
}

// How long a round takes, in which each slot goes to the next module once: a slice, the draining, a load. `draining`:
// its longest time.
Duration round(const FairnessWorld& world, Duration draining) {
  std::size_t most_weight = 1;
  Duration longest_load{};
  for (const FairnessModule& module : world.modules) {
    most_weight = std::max(most_weight, module.settings.weight);
    longest_load = std::max(longest_load, module.load_time);
  }
  return world.options.slice * static_cast<Duration::rep>(most_weight) + draining + longest_load + world.fork_time;
}

// The promised bound on draining. A call ends at its deadline, or its worker right after it. Calls that only wait are
// ended after a grace time, or a second one if a call was on the CPU at the end of the first; others after several.
Duration longest_draining(const FairnessWorld& world) {
  Duration longest{};
  for (const FairnessModule& module : world.modules) {
    const int graces = module.endless_calls_wait ? 2 : Scheduler::kGracesOfWorking;
    longest = std::max(longest, std::min(module.deadline, world.options.waiting_grace * graces));
  }
  return longest + world.stop_time;
}

Duration longest_wait(const FairnessWorld& world, std::size_t ahead, Duration draining) {
  std::size_t slots = world.options.max_workers;
  for (const FairnessModule& module : world.modules) slots -= module.settings.min_warm;
  return round(world, draining) * static_cast<Duration::rep>((ahead + 1 + slots - 1) / slots);
}

// Checks the wait against the bound for the promised draining time and for the measured one.
void check_waits(const FairnessWorld& world, const FairnessResult& result) {
  CHECK(result.longest_drain <= longest_draining(world));
  for (const auto& [ahead, wait] : result.longest_wait) {
    INFO("with " << ahead << " modules ahead");
    CHECK(wait <= longest_wait(world, ahead, result.longest_drain));
  }
}

FairnessModule flooding(Duration shortest_call, Duration longest_call, std::size_t weight = 1) {
  FairnessModule module;
  module.open_calls = 8;
  module.settings.weight = weight;
  module.shortest_call = shortest_call;
  module.longest_call = longest_call;
  return module;
}

TEST_CASE("two slots, ten modules that flood, one that calls once a second: its wait is bounded, and little is lost") {
  FairnessWorld world;
  world.options.max_workers = 2;
  world.options.slice = 100ms;
  for (int i = 0; i < 10; ++i) world.modules.push_back(flooding(1ms, 5ms));
  FairnessModule caller;
  caller.pause = 1s;
  caller.shortest_call = caller.longest_call = 1ms;
  world.modules.push_back(caller);
  const FairnessResult result = run(world);
  check_waits(world, result);

  // Two of the ten modules have slots; the other eight may be ahead.
  const FairnessResult::OfModule& called = result.modules.back();
  CHECK(called.answered >= 40);
  CHECK(called.overdue == 0);
  const Duration wait = called.longest_answer - caller.longest_call - caller.load_time;
  CHECK(wait <= longest_wait(world, 8, result.longest_drain));
  CHECK(result.longest_drain <= 2 * 5ms);  // the running call, and the one behind it
  CHECK(wait <= 600ms);

  const FairnessResult unfair = run_without_switching(world);
  CHECK(unfair.modules.back().answered == 0);
  CHECK(result.work() >= unfair.work() * 9 / 10);
}

TEST_CASE("modules that flood one slot have it in proportion to their weights") {
  FairnessWorld world;
  world.options.max_workers = 1;
  world.options.slice = 50ms;
  world.length = 300s;
  for (std::size_t weight : {1, 1, 2, 5, 10}) world.modules.push_back(flooding(500us, 1ms, weight));
  const FairnessResult result = run(world);
  Duration all{};
  std::size_t weights = 0, least = 1;
  for (const auto& module : result.modules) all += module.slot_time;
  for (const FairnessModule& module : world.modules) weights += module.settings.weight;
  for (std::size_t i = 0; i < world.modules.size(); ++i) {
    const double due = static_cast<double>(world.modules[i].settings.weight) / static_cast<double>(weights);
    const double got = static_cast<double>(result.modules[i].slot_time.count()) / static_cast<double>(all.count());
    // Draining makes each share longer than its slice, which matters most for the shortest slice; and one share may be
    // cut off at the end.
    const double tolerance =
        static_cast<double>(result.longest_drain.count()) /
            static_cast<double>((world.options.slice * static_cast<Duration::rep>(least)).count()) +
        1 / static_cast<double>(result.modules[i].turns);
    INFO("weight " << world.modules[i].settings.weight << " got " << got << " of " << due << " +- " << tolerance);
    CHECK(tolerance < 0.1);
    CHECK(std::abs(got - due) <= due * tolerance);
  }
}

TEST_CASE("modules of one weight that flood several slots have them for equal times") {
  for (std::size_t slots = 1; slots <= 5; ++slots) {
    FairnessWorld world;
    world.seed = slots;
    world.options.max_workers = slots;
    world.options.slice = 50ms;
    for (std::size_t i = 0; i < 2 * slots + 1; ++i) world.modules.push_back(flooding(500us, 1ms));
    const FairnessResult result = run(world);
    const auto shorter = [](const auto& a, const auto& b) { return a.slot_time < b.slot_time; };
    const auto [least, most] = std::minmax_element(result.modules.begin(), result.modules.end(), shorter);
    // The modules take turns, so two of them differ by at most one turn: a slice and the draining.
    const Duration turn = world.options.slice + result.longest_drain;
    INFO(slots << " slots");
    CHECK(most->slot_time - least->slot_time <=
          2 * turn + static_cast<Duration::rep>(most->turns) * result.longest_drain);
  }
}

TEST_CASE("calls that wait for an hour in all slots: another module waits for a slice and a grace, not for an hour") {
  for (std::size_t slots = 1; slots <= 6; ++slots) {
    CAPTURE(slots);
    FairnessWorld world;
    world.options.max_workers = slots;
    for (std::size_t i = 0; i < slots; ++i) {
      FairnessModule waiting;
      waiting.open_calls = 1 + i;
      waiting.one_call_is_endless_in = 1;
      waiting.endless_calls_wait = true;
      waiting.deadline = 1h;
      world.modules.push_back(waiting);
    }
    FairnessModule caller;
    caller.pause = 500ms;
    caller.deadline = 5s;
    caller.longest_call = 1ms;
    world.modules.push_back(caller);
    const FairnessResult result = run(world);
    check_waits(world, result);
    const FairnessResult::OfModule& called = result.modules.back();
    CHECK(called.answered >= 20);
    CHECK(called.overdue == 0);
    const Duration round = world.options.slice + 2 * world.options.waiting_grace + world.stop_time + caller.load_time;
    CHECK(called.longest_answer <= round + world.fork_time + caller.longest_call);
  }
}

TEST_CASE(
    "calls that kill their workers: a client that made none waits for a kill or two, and none of its calls fails") {
  for (std::uint64_t seed = 1; seed <= 2 * kFairnessSeeds; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FairnessWorld world;
    world.seed = seed;
    world.options.max_workers = 1 + random() % 3;
    world.length = 30s;
    FairnessModule clean;
    clean.pause = std::chrono::milliseconds(1 + random() % 30);
    clean.shortest_call = 100us;
    clean.longest_call = 1ms;
    clean.deadline = 10s;
    world.modules.push_back(clean);
    const std::size_t guilty = 1 + random() % 3;
    const Duration stretch = std::chrono::milliseconds(random() % 2 == 0 ? 1000 : 1 + random() % 200);
    for (std::size_t i = 0; i < guilty; ++i) {
      FairnessModule poison = clean;
      poison.calls_module = 0;
      // Three guilty connections would make their user guilty, including its connections that are not known yet.
      if (guilty > 2) poison.user = UserId{2};
      poison.one_call_is_endless_in = random() % 2 == 0 ? 1 : 50;
      poison.stretch = stretch;
      if (random() % 2 == 0) poison.open_calls = 1 + random() % 50;
      world.modules.push_back(poison);
    }
    const FairnessResult result = run(world);
    const FairnessResult::OfModule& called = result.modules.front();
    CHECK(called.refused == 0);
    CHECK(called.overdue == 0);
    CHECK(called.answered > 100);
    // One kill for each connection that becomes guilty, plus the quarantine's slice if it takes the only slot.
    const Duration kill = stretch + world.stop_time + 2 * (clean.load_time + world.fork_time);
    CHECK(called.longest_answer <= kill * static_cast<Duration::rep>(guilty + 1) + world.options.slice);
  }
}

TEST_CASE("calls that kill by one function: others of the same connection wait for a kill, and none of them fails") {
  for (std::uint64_t seed = 1; seed <= kFairnessSeeds; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    FairnessWorld world;
    world.seed = seed;
    world.options.max_workers = 2 + random() % 2;
    world.length = 30s;
    FairnessModule gateway;
    gateway.open_calls = 20;
    gateway.shortest_call = 100us;
    gateway.longest_call = 1ms;
    gateway.deadline = 10s;
    gateway.one_call_is_endless_in = 50;
    gateway.endless_function = FunctionId{2};
    gateway.stretch = std::chrono::milliseconds(random() % 2 == 0 ? 1000 : 1 + random() % 200);
    world.modules.push_back(gateway);
    const FairnessResult result = run(world);
    const FairnessResult::OfModule& called = result.modules.front();
    const Duration kill = gateway.stretch + world.stop_time + 2 * (gateway.load_time + world.fork_time);
    INFO("its longest good call took " << called.longest_good_answer.count() << " ns");
    CHECK(called.good_overdue == 0);
    CHECK(called.longest_good_answer <= 2 * kill + world.options.slice);
    CHECK(called.answered > 1000);
  }
}

// A world with more flooding modules than slots and with modules that call now and then, of all weights and lengths.
FairnessWorld random_world(std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto from_to = [&](std::uint64_t least, std::uint64_t most) { return least + random() % (most - least + 1); };
  const auto one_in = [&](std::uint64_t n) { return random() % n == 0; };
  FairnessWorld world;
  world.seed = seed;
  world.options.max_workers = from_to(1, 8);
  world.options.standby = from_to(1, 3);
  world.options.cores = from_to(1, 8);
  world.options.slice = std::chrono::milliseconds(from_to(40, 200));
  world.length = 10s;
  const auto floods = world.options.max_workers + from_to(0, 12);
  world.options.waiting_grace = std::chrono::milliseconds(from_to(20, 400));
  const bool some_never_end = one_in(4), several_instances = one_in(2), weighted = one_in(2);
  const bool they_wait = one_in(2);
  for (std::uint64_t i = 0; i < floods; ++i) {
    FairnessModule module;
    module.open_calls = from_to(1, 40);
    module.settings.concurrency = one_in(3) ? 1 : from_to(1, 128);
    if (several_instances) module.settings.max_instances = from_to(1, 4);
    if (weighted) module.settings.weight = from_to(1, 4);
    module.shortest_call = std::chrono::microseconds(from_to(50, 500));
    module.longest_call = module.shortest_call + std::chrono::microseconds(from_to(0, 4000));
    module.load_time = std::chrono::microseconds(from_to(200, 1500));
    // So short that some calls reach it while they wait.
    module.deadline = one_in(5) ? std::chrono::milliseconds(from_to(50, 1000)) : Duration(30s);
    if (some_never_end) {
      module.one_call_is_endless_in = 500;
      module.endless_calls_wait = they_wait;
      module.deadline = std::chrono::milliseconds(from_to(50, 1000));
    }
    world.modules.push_back(module);
  }
  for (std::uint64_t callers = from_to(0, 4); callers > 0; --callers) {
    FairnessModule module;
    module.pause = std::chrono::milliseconds(from_to(1, 1500));
    module.load_time = std::chrono::microseconds(from_to(200, 1500));
    if (world.options.max_workers > callers && one_in(4)) module.settings.min_warm = 1;
    world.modules.push_back(module);
  }
  return world;
}

TEST_CASE("in every world the wait for a fair share is bounded, and switching costs less than a tenth of the work") {
  std::uint64_t first = 1, last = kFairnessSeeds;
  if (const char* seeds = std::getenv("HOLDFAST_SEEDS"))
    last = std::max(kFairnessSeeds, std::strtoull(seeds, nullptr, 10) / 4);
  if (const char* alone = std::getenv("HOLDFAST_SEED")) first = last = std::strtoull(alone, nullptr, 10);
  std::uint64_t drained = 0, waits = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    INFO("HOLDFAST_SEED=" << seed);
    const FairnessWorld world = random_world(seed);
    const FairnessResult result = run(world);
    check_waits(world, result);
    drained += result.drained;
    waits += result.longest_wait.size();
    // Stopped calls are lost work, and there are more of them if more modules get to run.
    const bool all_end = std::all_of(world.modules.begin(), world.modules.end(),
                                     [](const auto& module) { return module.one_call_is_endless_in == 0; });
    if (all_end) CHECK(result.work() >= run_without_switching(world).work() * 9 / 10);
  }
  // Worlds in which no module has to wait prove nothing.
  CHECK(drained > 20 * (last - first + 1));
  CHECK(waits > last - first);
}

}  // namespace
}  // namespace holdfast::supervisor::testing
