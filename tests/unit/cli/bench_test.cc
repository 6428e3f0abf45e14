#include <doctest/doctest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "tools/cli/bench/floor.h"
#include "tools/cli/bench/fork_floor.h"
#include "tools/cli/bench/process_memory.h"
#include "tools/cli/bench/report.h"

using namespace holdfast::cli::bench;
using namespace std::chrono_literals;

namespace {

Samples one_to(int count) {
  Samples samples;
  for (int i = count; i > 0; --i) samples.emplace_back(i);
  return samples;
}

// A report with a section whose rows have keys of their own, a section that is an array, and one for the JSON only.
Report example() {
  return {
      .machine = {"A CPU", 2, "Linux 6", std::uint64_t{8} << 30},
      .client_version = "1.0",
      .supervisor_version = "1.1",
      .parameters = {text("suites", "hot,rates"), count("calls", 20)},
      .sections = {
          {.title = "HOT",
           .rows = {{.key = "floor", .what = "floor: bytes", .latency = summarize({20us})},
                    {.key = "hot", .what = "hot: add", .latency = summarize({30us})}},
           .figures = {ratio("hot_to_floor", 1.5)},
           .notes = {"Warm."}},
          {.key = "memory",
           .title = "MEMORY",
           .rows = {{.what = "worker",
                     .parameters = {count("processes", 8)},
                     .figures = {bytes("private", 2048), bytes("proportional", std::nullopt), bytes("grown", -1024)}},
                    {.what = "client", .parameters = {text("kind", "new")}}}},
          {.key = "rounds",
           .title = "ROUNDS",
           .rows = {{.what = "round", .figures = {duration("hot_p50", 30us)}}},
           .in_tables = false}}};
}

}  // namespace

TEST_CASE("percentiles are samples, by nearest rank") {
  const Summary summary = summarize(one_to(2000));
  CHECK(summary.count == 2000);
  CHECK(summary.min == 1ns);
  CHECK(summary.p50 == 1000ns);
  CHECK(summary.p90 == 1800ns);
  CHECK(summary.p99 == 1980ns);
  CHECK(summary.p999 == 1998ns);
  CHECK(summary.max == 2000ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 50) == 2ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 100) == 3ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 0.1) == 1ns);
}

TEST_CASE("one sample is every percentile and no sample is none") {
  const Summary one = summarize({7ns});
  CHECK(one.min == 7ns);
  CHECK(one.p99 == 7ns);
  CHECK(one.p999 == 7ns);
  CHECK(summarize({}).count == 0);
}

TEST_CASE("a rate counts calls, or bytes, by the time they took") {
  CHECK(std::get<double>(calls_per_second(5000, 500ms).value) == doctest::Approx(10000));
  CHECK(std::get<double>(calls_per_second(0, 0ns).value) == 0);
  CHECK(std::get<double>(megabytes_per_second(5e6, 500ms).value) == doctest::Approx(10));
  CHECK(std::get<double>(megabytes_per_second(0, 0ns).value) == 0);
}

TEST_CASE("a row's numbers are found by their keys") {
  const Row row{.what = "row",
                .parameters = {count("workers", 10), text("kind", "new")},
                .latency = summarize({20us}),
                .figures = {bytes("private", 2048), bytes("proportional", std::nullopt)}};
  CHECK(number(row, "workers") == 10);
  CHECK(number(row, "p50_ns") == 20000);
  CHECK(number(row, "private_bytes") == 2048);
  CHECK_FALSE(number(row, "proportional_bytes"));
  CHECK_FALSE(number(row, "kind"));
  CHECK_FALSE(number(row, "unknown"));
}

TEST_CASE("the report's JSON has every figure in nanoseconds and bytes") {
  const auto report = nlohmann::json::parse(report_as_json(example()));
  CHECK(report["hot"]["p50_ns"] == 30000);
  CHECK(report["hot"]["count"] == 1);
  CHECK(report["floor"]["p999_ns"] == 20000);
  CHECK(report["hot_to_floor"] == doctest::Approx(1.5));
  CHECK(report["rounds"][0]["hot_p50_ns"] == 30000);
  CHECK(report["memory"][0]["what"] == "worker");
  CHECK(report["memory"][0]["processes"] == 8);
  CHECK(report["memory"][0]["private_bytes"] == 2048);
  CHECK(report["memory"][0]["proportional_bytes"].is_null());
  CHECK(report["machine"]["cpu"] == "A CPU");
  CHECK(report["machine"]["memory_bytes"] == std::uint64_t{8} << 30);
  CHECK(report["versions"]["holdfastd"] == "1.1");
  CHECK(report["parameters"]["calls"] == 20);
  CHECK(report["notes"][0] == "HOT: Warm.");
}

TEST_CASE("the report's table has a line for each row and a dash for what a row lacks") {
  const std::string table = report_as_table(example());
  CHECK(table.find("hot: add") != std::string::npos);
  CHECK(table.find("hot_to_floor: 1.50") != std::string::npos);
  CHECK(table.find("Warm.") != std::string::npos);
  CHECK(table.find("P99.9") != std::string::npos);
  CHECK(table.find("MEMORY  PROCESSES  KIND  PRIVATE  PROPORTIONAL  GROWN\n"
                   "worker          8     -      2kB             -   -1kB\n"
                   "client          -   new        -             -      -\n") != std::string::npos);
  CHECK(table.find("ROUNDS") == std::string::npos);
}

TEST_CASE("the floor moves bytes through its processes, or one, and ends with its owner") {
  for (const auto path : {Floor::Path::direct, Floor::Path::relayed}) {
    // More bytes than the relay passes on at once.
    auto floor = Floor::start(path, 1'000'000, 64);
    REQUIRE(floor);
    for (int i = 0; i < 10; ++i) REQUIRE(floor->round_trip());
  }
}

TEST_CASE("a bare fork takes some time") {
  const auto elapsed = time_fork();
  REQUIRE(elapsed);
  CHECK(*elapsed > 0ns);
}

TEST_CASE("a program for the floor of a fork with V8 must answer numbers") {
  const auto silent = ForkCallProgram::start("/bin/true");
  REQUIRE_FALSE(silent);
  CHECK(silent.error() == "/bin/true did not answer a line with a number of nanoseconds");
  // /bin/cat answers the empty line that it gets, which is no number.
  const auto echoing = ForkCallProgram::start("/bin/cat");
  REQUIRE_FALSE(echoing);
  CHECK(echoing.error() == "/bin/cat did not answer a line with a number of nanoseconds");
}

TEST_CASE("a process's memory and parent are read from /proc") {
  const auto memory = memory_of(::getpid());
  REQUIRE(memory);
  CHECK(memory->private_bytes > 0);
  CHECK(memory->proportional_bytes > 0);
  CHECK(parent_of(::getpid()) == ::getppid());
  CHECK_FALSE(memory_of(-1));
  CHECK_FALSE(parent_of(-1));
}
