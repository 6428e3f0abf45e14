// Runs the simulation with many seeds, a million steps in all. If a seed fails, it is printed with the end of its
// history, and it can be run alone:
//   HOLDFAST_SEED=17 build/tests/unit/simulation_tests --test-case='*every schedule*'
// To run a hundred times as many seeds:
//   HOLDFAST_SEEDS=20000 build/tests/unit/simulation_tests --test-case='*every schedule*'
#include "tests/unit/scheduler/scheduler_simulation.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace holdfast::supervisor::testing {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr unsigned long long kSeeds = 40;
constexpr unsigned long long kLeastOfEachKind = kSeeds / 2;  // rare kinds vary more among few seeds
#else
constexpr unsigned long long kSeeds = 200;
constexpr unsigned long long kLeastOfEachKind = kSeeds;
#endif
constexpr std::size_t kSteps = 5000;

// Prints the seed if the scheduler aborts because it found a rule broken.
class SeedOnAbort {
 public:
  SeedOnAbort() {
    struct sigaction action = {};
    action.sa_handler = [](int) {
      (void)!::write(STDERR_FILENO, text_, std::strlen(text_));
      ::sigaction(SIGABRT, &before_, nullptr);
      ::raise(SIGABRT);
    };
    ::sigaction(SIGABRT, &action, &before_);
  }
  ~SeedOnAbort() { ::sigaction(SIGABRT, &before_, nullptr); }
  SeedOnAbort(const SeedOnAbort&) = delete;
  SeedOnAbort& operator=(const SeedOnAbort&) = delete;

  void set(std::uint64_t seed) {
    std::snprintf(text_, sizeof text_, "the simulation was running with HOLDFAST_SEED=%llu\n",
                  static_cast<unsigned long long>(seed));
  }

 private:
  inline static char text_[100];
  inline static struct sigaction before_;
};

// The seed, the broken rule, and the end of its history with one event per line.
std::string tell(std::uint64_t seed, const BrokenRule& broken) {
  std::string text = "HOLDFAST_SEED=" + std::to_string(seed) + " breaks the rule: " + broken.rule + "\n";
  for (const std::string& line : broken.history) text += line + "\n";
  text += "again: HOLDFAST_SEED=" + std::to_string(seed) +
          " build/tests/unit/simulation_tests --test-case='*every schedule*'\n";
  return text;
}

TEST_CASE("the scheduler's rules hold in every schedule") {
  std::uint64_t first = 1, last = kSeeds;
  if (const char* seeds = std::getenv("HOLDFAST_SEEDS")) last = std::max(kSeeds, std::strtoull(seeds, nullptr, 10));
  const char* alone = std::getenv("HOLDFAST_SEED");
  if (alone != nullptr) first = last = std::strtoull(alone, nullptr, 10);

  SeedOnAbort announcement;
  SimulationCounts sum;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    announcement.set(seed);
    Simulation simulation(seed);
    if (simulation.run(kSteps)) {
      const auto broken = Simulation(seed, Simulation::History::kept).run(kSteps);
      REQUIRE(broken.has_value());
      FAIL(tell(seed, *broken));
    }
    sum.calls += simulation.counts().calls;
    for (const auto& [kind, times] : simulation.counts().decisions) sum.decisions[kind] += times;
    for (const auto& [kind, times] : simulation.counts().ends) sum.ends[kind] += times;
  }

  std::string seen;
  for (const auto& [kind, times] : sum.decisions) seen += kind + ": " + std::to_string(times) + "\n";
  for (const auto& [kind, times] : sum.ends) seen += "calls " + kind + ": " + std::to_string(times) + "\n";
  if (alone != nullptr) {
    MESSAGE(seen);
    return;
  }
  // A simulation that never comes across something proves nothing about it.
  INFO(seen);
  CHECK(sum.decisions.size() == 25);
  CHECK(sum.ends.size() == 12);
  for (const auto& [kind, times] : sum.decisions) CHECK_MESSAGE(times > kLeastOfEachKind, kind);
  for (const auto& [kind, times] : sum.ends) CHECK_MESSAGE(times > kLeastOfEachKind, kind);
}

TEST_CASE("a simulation with the same seed gives the same history") {
  Simulation one(7), other(7);
  CHECK_FALSE(one.run(500).has_value());
  CHECK_FALSE(other.run(500).has_value());
  CHECK(one.counts().decisions == other.counts().decisions);
  CHECK(one.counts().ends == other.counts().ends);
}

}  // namespace
}  // namespace holdfast::supervisor::testing
