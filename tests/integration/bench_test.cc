// `holdfast bench`: each suite measures what its name says. The tests do not judge how fast anything is.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kCalls = 20;
constexpr int kColdCalls = 3;

Finished bench(std::vector<std::string> arguments, int calls = kCalls, const ProgramOptions& options = {}) {
  std::vector<std::string> command = {command_program(), "bench"};
  const std::vector<std::string> amounts = {
      "--calls", std::to_string(calls), "--rounds", "2", "--cold-calls", std::to_string(kColdCalls), "--seconds",
      "0.05",    "--workers",           "5"};
  command.insert(command.end(), amounts.begin(), amounts.end());
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command, options);
}

json figures(const std::string& suite) {
  const Finished done = bench({"--suite", suite, "--json"});
  CHECK(done.errors == "");
  REQUIRE(done.status == 0);
  json report = json::parse(done.output);
  CHECK(report["parameters"]["suites"] == suite);
  CHECK(report["machine"]["memory_bytes"] > 0);
  CHECK(report["versions"]["holdfastd"] != "");
  return report;
}

// Checks that there are samples, and that the percentiles are in ascending order.
void check_latency(const json& row, int count) {
  INFO(row.dump());
  if (count > 0) CHECK(row["count"] == count);
  CHECK(row["count"] > 0);
  CHECK(row["min_ns"] > 0);
  const char* before = "min_ns";
  for (const char* key : {"p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"}) {
    CHECK(row[before] <= row[key]);
    before = key;
  }
}

void check_rate(const json& row) {
  INFO(row.dump());
  check_latency(row, 0);
  CHECK(row["elapsed_ns"] > 0);
  CHECK(row["calls_per_second"] > 0);
}

bool is_floor(const json& row) { return row["what"].get<std::string>().starts_with("floor"); }

// The values of a key in all rows that are not floors.
std::multiset<std::int64_t> values(const json& rows, const char* key) {
  std::multiset<std::int64_t> found;
  for (const json& row : rows) {
    if (!is_floor(row)) found.insert(row[key].get<std::int64_t>());
  }
  return found;
}

TEST_CASE("holdfast bench measures hot calls beside their floors, in rounds") {
  const json report = figures("hot");
  for (const char* key : {"floor", "floor_direct", "hot"}) check_latency(report[key], kCalls);
  CHECK(report["hot_to_floor"] > 0);
  CHECK(report["rounds"].size() == 2);
}

TEST_CASE("holdfast bench measures calls over a direct line beside its floor and relayed calls") {
  const json report = figures("line");
  for (const char* key : {"line_floor", "line_floor_relayed", "line_relayed", "line"})
    check_latency(report[key], kCalls);
  CHECK(report["line_to_floor"] > 0);
  CHECK(report["line_rounds"].size() == 2);
}

TEST_CASE("holdfast bench measures cold calls of three kinds beside a bare fork") {
  const json report = figures("cold");
  for (const char* key : {"floor_fork", "cold_with_standby", "cold_without_standby", "cold_with_eviction"}) {
    check_latency(report[key], kColdCalls);
  }
  CHECK_FALSE(report.contains("floor_fork_v8"));
  CHECK(contains(report["notes"].dump(), "--fork-call names no program"));
}

TEST_CASE("holdfast bench measures rates by calls in flight, and latencies of calls that come at a fixed rate") {
  const json report = figures("rates");
  CHECK(values(report["rates"], "in_flight") == std::multiset<std::int64_t>{1, 4, 16, 64, 256});
  for (const json& row : report["rates"]) {
    if (is_floor(row)) continue;
    check_rate(row);
    CHECK(row["supervisor_cpu_ns"] > 0);
  }
  CHECK(report["open_loop"].size() == 3);
  for (const json& row : report["open_loop"]) {
    check_latency(row, 0);
    CHECK(row["late_p99_ns"] >= 0);
  }
}

TEST_CASE("holdfast bench measures rates by clients") {
  const json report = figures("clients");
  CHECK(values(report["clients"], "clients") == std::multiset<std::int64_t>{1, 1, 8, 8, 64, 64});
  for (const json& row : report["clients"]) {
    if (!is_floor(row)) check_rate(row);
  }
}

TEST_CASE("holdfast bench measures payloads of both encodings in all sizes") {
  const Finished done = bench({"--suite", "payloads", "--json"}, 1);
  CHECK(done.errors == "");
  REQUIRE(done.status == 0);
  const json report = json::parse(done.output);
  std::multiset<std::int64_t> sizes;
  for (const json& row : report["payloads"]) {
    check_latency(row, 1);
    CHECK(row["megabytes_per_second"] > 0);
    if (row["what"] == "json") sizes.insert(row["payload_bytes"].get<std::int64_t>());
  }
  CHECK(sizes == std::multiset<std::int64_t>{16, 256, 4 << 10, 64 << 10, 1 << 20, (16 << 20) - 4096});
  CHECK(report["payloads"].size() == 4 * sizes.size());
}

TEST_CASE("holdfast bench measures modules of all sizes, and a bundle") {
  const TemporaryFolder folder;
  const auto bundle = folder.write("bundle.js", "module.exports = function () {};");
  const Finished done = bench({"--suite", "modules", "--bundle", bundle, "--json"});
  CHECK(done.errors == "");
  REQUIRE(done.status == 0);
  const json report = json::parse(done.output);
  int bundles = 0;
  std::int64_t size = 0;
  for (const json& row : report["modules"]) {
    check_latency(row, kColdCalls / 3);
    bundles += row["what"] == "cold, the bundle";
    if (row["what"] != "cold, a standby was ready") continue;
    CHECK(row["module_bytes"] > size);
    size = row["module_bytes"];
  }
  CHECK(bundles == 1);
  CHECK(size >= 5 << 20);
}

TEST_CASE("holdfast bench measures hot calls beside many idle workers and says where it stopped") {
  const json report = figures("workers");
  CHECK(values(report["workers"], "workers") == std::multiset<std::int64_t>{1, 5});
  for (const json& row : report["workers"]) check_latency(row, kCalls);
  CHECK(contains(report["notes"].dump(),
                 "10 workers were not measured: at most 5 are possible here, because --workers is 5."));
  CHECK(values(report["workers_memory"], "workers") == std::multiset<std::int64_t>{1, 1, 5, 5});
  for (const json& row : report["workers_memory"]) {
    if (::geteuid() == 0) CHECK(row["proportional_bytes"] >= row["private_bytes"]);
  }
}

TEST_CASE("holdfast bench measures how many cold starts can be sustained") {
  const json report = figures("cold-rate");
  CHECK(values(report["cold_rate"], "in_flight") == std::multiset<std::int64_t>{1, 4, 16});
  for (const json& row : report["cold_rate"]) {
    if (!is_floor(row)) check_rate(row);
  }
}

TEST_CASE("holdfast bench measures how calls that never return are ended, by either limit") {
  const json report = figures("stuck");
  std::multiset<std::string> limits;
  for (const json& row : report["stuck"]) {
    check_latency(row, kColdCalls);
    if (row.contains("limit")) limits.insert(row["limit"].get<std::string>());
  }
  CHECK(limits == std::multiset<std::string>{"deadline", "deadline", "stretch", "stretch"});
}

TEST_CASE("holdfast bench measures memory and says so if it may not read it") {
  const json report = figures("memory");
  std::multiset<std::string> whose;
  bool left_out = false;
  for (const json& row : report["memory"]) {
    INFO(row.dump());
    whose.insert(row["what"].get<std::string>());
    left_out = left_out || row["private_bytes"].is_null();
    CHECK(row["private_bytes"].is_null() == row["proportional_bytes"].is_null());
    if (row.contains("listed_bytes")) CHECK(row["listed_bytes"] > 0);
  }
  CHECK(whose == std::multiset<std::string>{"busy worker", "idle worker", "standby worker", "supervisor",
                                            "supervisor, for each client", "supervisor, for each module it knows",
                                            "zygote"});
  CHECK(contains(report["notes"].dump(), "Some figures were left out") == left_out);
}

TEST_CASE("holdfast bench without suites runs the quick ones, prints tables and leaves nothing behind") {
  adopt_orphans();
  const TemporaryFolder folder;
  const TemporaryFolder results;
  const fs::path plots = results.path() / "plots";
  const fs::path figures = results.path() / "figures.json";
  const Finished done =
      bench({"--plots", plots, "--figures", figures}, kCalls, {.environment = {"TMPDIR=" + folder.path().string()}});
  CHECK(done.errors == "");
  CHECK(done.status == 0);
  for (const char* title : {"HOT", "COLD", "CALLS PER SECOND", "OPEN LOOP"}) CHECK(contains(done.output, title));
  CHECK_FALSE(contains(done.output, "PAYLOADS"));
  for (const char* plot : {"hot.svg", "cold.svg", "rates.svg", "open-loop.svg"}) CHECK(fs::exists(plots / plot));
  CHECK(json::parse(read_file(figures))["parameters"]["suites"] == "hot,cold,rates");
  CHECK(fs::is_empty(folder.path()));
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
}

TEST_CASE("holdfast bench that is killed leaves no process behind") {
  adopt_orphans();
  const TemporaryFolder folder;
  Program measuring({command_program(), "bench", "--suite", "hot", "--calls", "100000000"},
                    {.environment = {"TMPDIR=" + folder.path().string()}});
  // Wait until there are more processes than the zygote and its standby.
  constexpr std::size_t kSomeProcesses = 6;
  REQUIRE(eventually([&] { return descendants_of(measuring.pid()).size() >= kSomeProcesses; }));
  measuring.signal(SIGKILL);
  CHECK(measuring.wait() == 128 + SIGKILL);
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
}

TEST_CASE("holdfast bench measures a running supervisor with the suites that need no other supervisor") {
  Daemon daemon({.modules = {{"sum", "exports.add = async ({ a, b }) => a + b;"}}});
  const std::vector<std::string> target = {"--socket", daemon.socket_path(), "--target", "sum@v1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), target.begin(), target.end());
    return bench(more);
  };
  const Finished done = with({"--json"});
  CHECK(done.errors == "");
  REQUIRE(done.status == 0);
  const json report = json::parse(done.output);
  CHECK(report["parameters"]["suites"] == "hot,rates");
  CHECK_FALSE(report.contains("cold_with_standby"));

  const Finished refused = with({"--suite", "hot,cold"});
  CHECK(refused.status == 2);
  CHECK(contains(refused.errors, "the suite cold needs private supervisors"));
  daemon.stop();
}

TEST_CASE("holdfast bench names the suites that it knows where one is unknown") {
  const Finished done = bench({"--suite", "hot,warm"});
  CHECK(done.status == 2);
  CHECK(contains(done.errors,
                 "there is no suite \"warm\"; expected a list of all, hot, cold, rates, clients, payloads, "
                 "modules, workers, cold-rate, stuck, memory, line"));
}

}  // namespace
}  // namespace holdfast::test
