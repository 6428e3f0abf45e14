// The number of processes follows demand: standbys follow the rate of cold calls, a module's instances follow its
// queue.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <thread>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

// This many cold calls within a few seconds are more than one standby can serve.
constexpr std::size_t kManyModules = 100;

std::vector<Module> many_modules() {
  std::vector<Module> modules;
  for (std::size_t i = 0; i < kManyModules; ++i) {
    modules.push_back({fmt::format("m{}", i), "exports.echo = (payload) => payload;"});
  }
  return modules;
}

ipc::StatsTotals totals(ipc::Client& client) {
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  return stats->totals;
}

// Calls each module once; each call is cold, as there are fewer slots than modules. Returns the highest target for
// standbys after any of the calls.
std::uint32_t most_standbys_wanted_while_calling_each(ipc::Client& client) {
  std::uint32_t most = 0;
  for (std::size_t i = 0; i < kManyModules; ++i) {
    CHECK(outcome(call(client, {fmt::format("m{}", i), "echo", "1"})) == "1");
    most = std::max(most, totals(client).standby_target);
  }
  return most;
}

TEST_CASE("many cold calls raise the number of standbys and it falls again after them") {
  Daemon daemon({.modules = many_modules(), .flags = {"--max-workers", "2", "--idle-timeout", "100ms"}});
  ipc::Client client = daemon.connect();
  CHECK(totals(client).standby_target == 1);
  // On a busy machine one round may take so long that it is not a burst.
  CHECK(eventually([&] { return most_standbys_wanted_while_calling_each(client) >= 2; }));
  CHECK(eventually([&] { return totals(client).standby_target == 1 && totals(client).standbys == 1; }));
  daemon.stop();
}

TEST_CASE("no more standbys are kept than --standby-max allows, however many cold calls come") {
  Daemon daemon({.modules = many_modules(), .flags = {"--max-workers", "2", "--standby-max", "1"}});
  ipc::Client client = daemon.connect();
  CHECK(most_standbys_wanted_while_calling_each(client) == 1);
  daemon.stop();
}

TEST_CASE("only standbys that fit into --standby-memory are kept and calls are served all the same") {
  Daemon daemon({.modules = many_modules(), .flags = {"--max-workers", "2", "--standby-memory", "0.000001%"}});
  ipc::Client client = daemon.connect();
  CHECK(eventually([&] { return totals(client).standby_target == 0; }));
  CHECK(most_standbys_wanted_while_calling_each(client) == 0);
  daemon.stop();
}

TEST_CASE("a batch gets as many processes as the machine has cores, up to max_instances, and none is left when idle") {
  constexpr std::size_t kMostInstances = 4;
  constexpr std::size_t kCalls = 300;
  Daemon daemon({.modules = {{"worker", R"js(
                     exports.work = (payload) => {
                       let sum = 0;
                       for (let i = 0; i < 1e6; i++) sum = (sum * 31 + i) | 0;
                       return payload;
                     };
                 )js"}},
                 .flags = {"--max-instances", std::to_string(kMostInstances), "--idle-timeout", "100ms"}});
  ipc::Client client = daemon.connect();
  ipc::Client observer = daemon.connect();
  Calls calls(client);
  for (std::size_t i = 0; i < kCalls; ++i) calls.start({"worker", "work", std::to_string(i)});
  std::size_t most = 0;
  while (calls.order().size() < calls.size()) {
    client.run_once();
    const auto all = workers(observer);
    most = std::max(most, static_cast<std::size_t>(
                              std::count_if(all.begin(), all.end(), [](const auto& one) { return one.module != ""; })));
  }
  for (std::size_t i = 0; i < kCalls; ++i) CHECK(outcome(calls.answer(i)) == std::to_string(i));
  CHECK(most == std::min<std::size_t>(kMostInstances, std::max(std::thread::hardware_concurrency(), 1U)));
  CHECK(workers_become(observer, [](const std::vector<ipc::WorkerInfo>& all) {
    return std::all_of(all.begin(), all.end(), [](const auto& one) { return one.module.empty(); });
  }));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
