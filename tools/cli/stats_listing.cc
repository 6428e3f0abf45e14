#include "tools/cli/stats_listing.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <tuple>
#include <vector>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "tools/cli/json_text.h"
#include "tools/cli/table.h"
#include "tools/cli/worker_listing.h"

namespace holdfast::cli {
namespace {

// The most that is shown of the supervisor's texts: names have at most 64 bytes, and the beginning of a reason is
// enough in a table.
constexpr std::size_t kMaxShownBytes = 64;

std::string shown(std::string_view text) {
  return ipc::printable(ipc::clean_utf8(text, kMaxShownBytes), ipc::Newlines::escape);
}

double in_seconds(std::chrono::nanoseconds duration) { return std::chrono::duration<double>(duration).count(); }

std::string mean(std::chrono::nanoseconds sum, std::uint64_t count) {
  if (count == 0) return "-";
  return ipc::format_duration(std::chrono::nanoseconds(static_cast<std::uint64_t>(sum.count()) / count));
}

std::string held_off(const ipc::ModuleStats& module) {
  if (module.held_off.count() == 0) return "-";
  return fmt::format("{} {}", ipc::format_duration(module.held_off), shown(module.held_off_reason));
}

std::string counted(std::uint64_t count, std::string_view thing) {
  return fmt::format("{} {}{}", count, thing, count == 1 ? "" : "s");
}

std::string totals_line(const ipc::Stats& stats) {
  const ipc::StatsTotals& totals = stats.totals;
  return fmt::format(
      "holdfastd {}, up {}: {}; {} of {} workers, {} of {} standbys; {} queued, {} in flight; {} of {} modules "
      "waiting; "
      "{}; {} of memory\n",
      shown(totals.version), format_age(totals.uptime), counted(totals.clients, "client"), totals.workers,
      totals.max_workers, totals.standbys, totals.standby_target, counted(totals.queued, "call"),
      totals.calls_in_flight, totals.waiting_modules, totals.modules, counted(totals.forks, "fork"),
      ipc::format_size(totals.memory_bytes));
}

nlohmann::ordered_json as_json(const ipc::ModuleStats& module) {
  auto errors = nlohmann::ordered_json::object();
  for (const ipc::ErrorCount& error : module.errors) errors[std::string(ipc::to_string(error.code))] = error.count;
  return {{"module", module.module},
          {"version", module.version},
          {"instances", module.instances},
          {"calls", module.calls},
          {"results", module.results},
          {"errors", errors},
          {"refused", module.refused},
          {"retries", module.retries},
          {"cold_starts", module.cold_starts},
          {"evictions", module.evictions},
          {"drains", module.drains},
          {"queued", module.queued},
          {"calls_in_flight", module.calls_in_flight},
          {"queue", in_seconds(module.queue)},
          {"load", in_seconds(module.load)},
          {"run", in_seconds(module.run)},
          {"cpu", in_seconds(module.cpu)},
          {"bytes_in", module.bytes_in},
          {"bytes_out", module.bytes_out},
          {"peak_memory", module.peak_memory_bytes},
          {"held_off", in_seconds(module.held_off)},
          {"held_off_reason", module.held_off_reason}};
}

nlohmann::ordered_json as_json(const ipc::StatsTotals& totals) {
  return {{"version", totals.version},
          {"uptime", in_seconds(totals.uptime)},
          {"clients", totals.clients},
          {"workers", totals.workers},
          {"max_workers", totals.max_workers},
          {"standbys", totals.standbys},
          {"standby_target", totals.standby_target},
          {"queued", totals.queued},
          {"calls_in_flight", totals.calls_in_flight},
          {"waiting_modules", totals.waiting_modules},
          {"modules", totals.modules},
          {"forks", totals.forks},
          {"memory", totals.memory_bytes}};
}

}  // namespace

std::string name_of(const ModuleFilter& filter) {
  return filter.version.empty() ? "module " + filter.module : filter.module + "@" + filter.version;
}

void select_and_sort(ipc::Stats& stats, const ModuleFilter& filter) {
  std::erase_if(stats.modules, [&](const ipc::ModuleStats& module) {
    return (!filter.module.empty() && module.module != filter.module) ||
           (!filter.version.empty() && module.version != filter.version);
  });
  std::ranges::sort(stats.modules, [](const ipc::ModuleStats& one, const ipc::ModuleStats& other) {
    return std::tie(other.cpu, one.module, one.version) < std::tie(one.cpu, other.module, other.version);
  });
}

std::string stats_as_table(const ipc::Stats& stats) {
  const std::vector<Column> columns = {{"MODULE"},
                                       {"VERSION"},
                                       {"INSTANCES", Align::right},
                                       {"CALLS", Align::right},
                                       {"ERRORS", Align::right},
                                       {"REFUSED", Align::right},
                                       {"RETRIES", Align::right},
                                       {"COLD", Align::right},
                                       {"QUEUED", Align::right},
                                       {"IN_FLIGHT", Align::right},
                                       {"CPU", Align::right},
                                       {"QUEUE", Align::right},
                                       {"RUN", Align::right},
                                       {"MEMORY", Align::right},
                                       {"IN / OUT", Align::right},
                                       {"HELD_OFF"}};
  std::vector<std::vector<std::string>> rows;
  for (const ipc::ModuleStats& module : stats.modules) {
    const std::uint64_t answered = module.results + module.error_count();
    rows.push_back({shown(module.module), shown(module.version), fmt::to_string(module.instances),
                    fmt::to_string(module.calls), fmt::to_string(module.error_count()), fmt::to_string(module.refused),
                    fmt::to_string(module.retries), fmt::to_string(module.cold_starts), fmt::to_string(module.queued),
                    fmt::to_string(module.calls_in_flight), format_age(module.cpu), mean(module.queue, answered),
                    mean(module.run, answered), ipc::format_size(module.peak_memory_bytes),
                    fmt::format("{} / {}", ipc::format_size(module.bytes_in), ipc::format_size(module.bytes_out)),
                    held_off(module)});
  }
  return format_table(columns, rows) + "\n" + totals_line(stats);
}

std::string stats_as_json(const ipc::Stats& stats) {
  auto modules = nlohmann::ordered_json::array();
  for (const ipc::ModuleStats& module : stats.modules) modules.push_back(as_json(module));
  const nlohmann::ordered_json document = {{"totals", as_json(stats.totals)}, {"modules", std::move(modules)}};
  return to_output(document) + "\n";
}

}  // namespace holdfast::cli
