#include "tools/cli/worker_listing.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "tools/cli/json_text.h"
#include "tools/cli/table.h"

namespace holdfast::cli {
namespace {

std::string shown_name(std::string_view name) {
  if (name.empty()) return "-";
  constexpr std::size_t kMaxBytes = 64;  // the longest name (protocol.capnp, Call.module)
  return ipc::printable(ipc::clean_utf8(name, kMaxBytes), ipc::Newlines::escape);
}

}  // namespace

std::string listing_as_table(const std::vector<ipc::WorkerInfo>& workers) {
  const std::vector<Column> columns = {{"PID", Align::right},
                                       {"MODULE"},
                                       {"VERSION"},
                                       {"STATE"},
                                       {"CALLS", Align::right},
                                       {"CALLS_IN_FLIGHT", Align::right},
                                       {"LINE"},
                                       {"CPU", Align::right},
                                       {"MEMORY", Align::right},
                                       {"AGE", Align::right}};
  std::vector<std::vector<std::string>> rows;
  for (const auto& worker : workers) {
    rows.push_back({worker.pid == 0 ? "-" : fmt::to_string(worker.pid), shown_name(worker.module),
                    shown_name(worker.version), std::string(ipc::to_string(worker.state)),
                    fmt::to_string(worker.calls_done), fmt::to_string(worker.calls_in_flight),
                    worker.line ? "yes" : "-", format_age(worker.cpu), ipc::format_size(worker.memory_bytes),
                    format_age(worker.age)});
  }
  return format_table(columns, rows);
}

std::string listing_as_json(const std::vector<ipc::WorkerInfo>& workers) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& worker : workers) {
    list.push_back({{"pid", worker.pid},
                    {"module", worker.module},
                    {"version", worker.version},
                    {"state", ipc::to_string(worker.state)},
                    {"calls", worker.calls_done},
                    {"calls_in_flight", worker.calls_in_flight},
                    {"line", worker.line},
                    {"cpu", std::chrono::duration<double>(worker.cpu).count()},
                    {"memory", worker.memory_bytes},
                    {"age", std::chrono::duration<double>(worker.age).count()}});
  }
  return to_output(list) + "\n";
}

std::string format_age(std::chrono::nanoseconds age) {
  using namespace std::chrono;
  const auto count = [](auto duration) { return duration.count(); };
  if (age < seconds(1)) return fmt::format("{}ms", count(duration_cast<milliseconds>(age)));
  if (age < minutes(1)) return fmt::format("{}s", count(duration_cast<seconds>(age)));
  if (age < hours(1)) {
    return fmt::format("{}m{:02}s", count(duration_cast<minutes>(age)),
                       count(duration_cast<seconds>(age % minutes(1))));
  }
  if (age < days(1)) {
    return fmt::format("{}h{:02}m", count(duration_cast<hours>(age)), count(duration_cast<minutes>(age % hours(1))));
  }
  return fmt::format("{}d{:02}h", count(duration_cast<days>(age)), count(duration_cast<hours>(age % days(1))));
}

}  // namespace holdfast::cli
