#include "tools/cli/bench/report.h"

#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/utsname.h>

#include "ipc/client_messages.h"
#include "ipc/text.h"
#include "ipc/units.h"
#include "tools/cli/json_text.h"
#include "tools/cli/table.h"

namespace holdfast::cli::bench {
namespace {

std::string shown(const std::string& text) {
  constexpr std::size_t kMaxBytes = 200;
  return ipc::printable(ipc::clean_utf8(text, kMaxBytes), ipc::Newlines::escape);
}

std::string cpu_model() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (const std::size_t colon = line.find(": "); line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

nlohmann::ordered_json as_json(const Summary& summary) {
  return {{"count", summary.count},        {"min_ns", summary.min.count()}, {"p50_ns", summary.p50.count()},
          {"p95_ns", summary.p95.count()}, {"p99_ns", summary.p99.count()}, {"max_ns", summary.max.count()}};
}

nlohmann::ordered_json as_json(const std::optional<Summary>& summary) {
  return summary ? as_json(*summary) : nlohmann::ordered_json();
}

}  // namespace

Machine this_machine() {
  utsname name = {};
  ::uname(&name);
  return {cpu_model(), std::thread::hardware_concurrency(), fmt::format("{} {}", name.sysname, name.release)};
}

double Rate::calls_per_second() const {
  return elapsed.count() == 0 ? 0 : static_cast<double>(calls) / std::chrono::duration<double>(elapsed).count();
}

double Report::hot_to_floor() const {
  return floor.p50.count() == 0 ? 0 : static_cast<double>(hot.p50.count()) / static_cast<double>(floor.p50.count());
}

std::string report_as_table(const Report& report) {
  std::vector<std::vector<std::string>> latencies;
  const auto add = [&](const char* what, const Summary& summary) {
    std::vector<std::string> row = {what, fmt::to_string(summary.count)};
    for (const auto value : {summary.min, summary.p50, summary.p95, summary.p99, summary.max}) {
      row.push_back(ipc::format_duration(value));
    }
    latencies.push_back(std::move(row));
  };
  add("floor: the same bytes through three processes", report.floor);
  add("hot: add", report.hot);
  if (report.cold_with_standby) add("cold: a standby was ready", *report.cold_with_standby);
  if (report.cold_without_standby) add("cold: without standbys", *report.cold_without_standby);

  std::vector<std::vector<std::string>> rates;
  for (const Rate& rate : report.rates) {
    rates.push_back({fmt::to_string(rate.in_flight), fmt::format("{:.0f}", rate.calls_per_second())});
  }

  const auto right = [](const char* title) { return Column{title, Align::right}; };
  return fmt::format(
      "holdfast {}, holdfastd {}; {}, {} cores, {}\n"
      "a call is {} bytes, its answer {}\n\n"
      "{}\nhot p50 / floor p50: {:.2f}\n\n{}",
      report.client_version, shown(report.supervisor_version), shown(report.machine.cpu), report.machine.cores,
      shown(report.machine.kernel), report.request_bytes, report.answer_bytes,
      format_table({{"LATENCY"}, right("CALLS"), right("MIN"), right("P50"), right("P95"), right("P99"), right("MAX")},
                   latencies),
      report.hot_to_floor(), format_table({right("IN_FLIGHT"), right("CALLS/S")}, rates));
}

std::string report_as_json(const Report& report) {
  auto rounds = nlohmann::ordered_json::array();
  for (const Round& round : report.rounds) {
    rounds.push_back({{"floor_p50_ns", round.floor_p50.count()}, {"hot_p50_ns", round.hot_p50.count()}});
  }
  auto rates = nlohmann::ordered_json::array();
  for (const Rate& rate : report.rates) {
    rates.push_back({{"in_flight", rate.in_flight},
                     {"calls", rate.calls},
                     {"elapsed_ns", rate.elapsed.count()},
                     {"calls_per_second", rate.calls_per_second()}});
  }
  const nlohmann::ordered_json document = {
      {"machine", {{"cpu", report.machine.cpu}, {"cores", report.machine.cores}, {"kernel", report.machine.kernel}}},
      {"versions",
       {{"holdfast", report.client_version},
        {"holdfastd", report.supervisor_version},
        {"protocol", ipc::kProtocolVersion}}},
      {"request_bytes", report.request_bytes},
      {"answer_bytes", report.answer_bytes},
      {"floor", as_json(report.floor)},
      {"hot", as_json(report.hot)},
      {"hot_to_floor", report.hot_to_floor()},
      {"rounds", std::move(rounds)},
      {"cold_with_standby", as_json(report.cold_with_standby)},
      {"cold_without_standby", as_json(report.cold_without_standby)},
      {"rates", std::move(rates)},
  };
  return to_output(document) + "\n";
}

}  // namespace holdfast::cli::bench
