#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tools/cli/bench/floor.h"
#include "tools/cli/bench/report.h"

using namespace holdfast::cli::bench;
using namespace std::chrono_literals;

namespace {

std::vector<nanoseconds> one_to(int count) {
  std::vector<nanoseconds> samples;
  for (int i = count; i > 0; --i) samples.emplace_back(i);
  return samples;
}

Report example() {
  Report report;
  report.machine = {"A CPU", 2, "Linux 6"};
  report.client_version = "1.0";
  report.supervisor_version = "1.1";
  report.request_bytes = 136;
  report.answer_bytes = 64;
  report.floor = summarize({20us});
  report.hot = summarize({30us});
  report.rounds = {{20us, 30us}};
  report.rates = {{.in_flight = 16, .calls = 5000, .elapsed = 500ms}};
  return report;
}

}  // namespace

TEST_CASE("percentiles are samples, by nearest rank") {
  const Summary summary = summarize(one_to(200));
  CHECK(summary.count == 200);
  CHECK(summary.min == 1ns);
  CHECK(summary.p50 == 100ns);
  CHECK(summary.p95 == 190ns);
  CHECK(summary.p99 == 198ns);
  CHECK(summary.max == 200ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 50) == 2ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 100) == 3ns);
  CHECK(percentile({1ns, 2ns, 3ns}, 0.1) == 1ns);
}

TEST_CASE("one sample is every percentile and no sample is none") {
  const Summary one = summarize({7ns});
  CHECK(one.min == 7ns);
  CHECK(one.p99 == 7ns);
  CHECK(summarize({}).count == 0);
}

TEST_CASE("a rate counts calls by the time they took") {
  CHECK(Rate{16, 5000, 500ms}.calls_per_second() == doctest::Approx(10000));
  CHECK(Rate{}.calls_per_second() == 0);
}

TEST_CASE("the report's JSON has every figure in nanoseconds") {
  const auto report = nlohmann::json::parse(report_as_json(example()));
  CHECK(report["hot"]["p50_ns"] == 30000);
  CHECK(report["floor"]["p99_ns"] == 20000);
  CHECK(report["hot_to_floor"] == doctest::Approx(1.5));
  CHECK(report["rounds"][0]["hot_p50_ns"] == 30000);
  CHECK(report["rates"][0]["calls_per_second"] == doctest::Approx(10000));
  CHECK(report["cold_with_standby"].is_null());
  CHECK(report["machine"]["cpu"] == "A CPU");
  CHECK(report["versions"]["holdfastd"] == "1.1");
}

TEST_CASE("the report's table names the ratio and leaves out what was not measured") {
  Report report = example();
  const std::string without_cold = report_as_table(report);
  CHECK(without_cold.find("hot p50 / floor p50: 1.50") != std::string::npos);
  CHECK(without_cold.find("cold") == std::string::npos);
  report.cold_with_standby = summarize({1ms});
  CHECK(report_as_table(report).find("cold: a standby was ready") != std::string::npos);
}

TEST_CASE("the floor moves bytes through its processes and ends with its owner") {
  auto floor = Floor::start(100'000, 64);
  REQUIRE(floor);
  for (int i = 0; i < 10; ++i) REQUIRE(floor->round_trip());
}
