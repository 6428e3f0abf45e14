#include "tools/cli/bench/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/client_messages.h"
#include "tools/cli/json_text.h"
#include "tools/cli/table.h"

namespace holdfast::cli::bench {
namespace {

using ipc::shown;
using Json = nlohmann::ordered_json;

Json as_json(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return *text;
  const auto* number = std::get_if<double>(&value.value);
  if (number == nullptr) return nullptr;
  const bool is_whole = value.unit == Unit::count || value.unit == Unit::nanoseconds || value.unit == Unit::bytes;
  if (is_whole) return std::llround(*number);
  return *number;
}

void add(Json& object, const std::vector<Value>& values) {
  for (const Value& value : values) object[value.key] = as_json(value);
}

Json as_json(const Row& row) {
  Json object = {{"what", row.what}};
  add(object, row.parameters);
  if (row.latency) {
    object["count"] = row.latency->count;
    add(object, percentiles(*row.latency));
  }
  add(object, row.figures);
  return object;
}

std::string signed_size(double bytes) {
  const std::string size = ipc::format_size(static_cast<std::uint64_t>(std::llround(std::abs(bytes))));
  return bytes < -0.5 ? fmt::format("-{}", size) : size;
}

std::string as_cell(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value.value)) return shown(*text);
  const auto* number = std::get_if<double>(&value.value);
  if (number == nullptr) return "-";
  switch (value.unit) {
    case Unit::nanoseconds:
      return ipc::format_duration(nanoseconds(std::llround(*number)));
    case Unit::bytes:
      return signed_size(*number);
    case Unit::ratio:
      return fmt::format("{:.2f}", *number);
    case Unit::megabytes_per_second:
      return fmt::format("{:.1f}", *number);
    default:
      return fmt::format("{:.0f}", *number);
  }
}

std::string column_title(const Value& value) {
  if (value.unit == Unit::calls_per_second) return "CALLS/S";
  if (value.unit == Unit::megabytes_per_second) return "MB/S";
  if (value.key == "p999_ns") return "P99.9";
  std::string title = value.key;
  for (const std::string_view unit : {"_ns", "_bytes"}) {
    if (title.ends_with(unit)) title.resize(title.size() - unit.size());
  }
  std::ranges::transform(title, title.begin(), [](char c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; });
  return title;
}

std::vector<Value> latency_values(const Row& row) {
  if (!row.latency) return {};
  std::vector<Value> values = percentiles(*row.latency);
  values.insert(values.begin(), count("calls", static_cast<double>(row.latency->count)));
  return values;
}

// A column for each value that any of the rows has: parameters first, then latencies, then figures.
std::string rows_as_table(const Section& section) {
  std::vector<Column> columns = {{section.title}};
  std::vector<std::vector<std::string>> cells;
  for (const Row& row : section.rows) cells.push_back({shown(row.what)});
  const auto add_columns = [&](auto values_of) {
    std::vector<std::string> keys;
    const std::size_t first = columns.size();
    for (const Row& row : section.rows) {
      for (const Value& value : values_of(row)) {
        if (std::ranges::find(keys, value.key) != keys.end()) continue;
        keys.push_back(value.key);
        columns.push_back({column_title(value), Align::right});
      }
    }
    for (std::size_t i = 0; i < section.rows.size(); ++i) {
      cells[i].resize(columns.size(), "-");
      for (const Value& value : values_of(section.rows[i])) {
        const auto key = std::ranges::find(keys, value.key) - keys.begin();
        cells[i][first + static_cast<std::size_t>(key)] = as_cell(value);
      }
    }
  };
  add_columns([](const Row& row) { return row.parameters; });
  add_columns(latency_values);
  add_columns([](const Row& row) { return row.figures; });
  return format_table(columns, cells);
}

}  // namespace

std::string report_as_table(const Report& report) {
  std::string all = fmt::format("holdfast {}, holdfastd {}; {}, {} cores, {}, {}\n", report.client_version,
                                shown(report.supervisor_version), shown(report.machine.cpu), report.machine.cores,
                                ipc::format_size(report.machine.memory_bytes), shown(report.machine.kernel));
  for (const Section& section : report.sections) {
    if (!section.in_tables) continue;
    all.append("\n").append(rows_as_table(section));
    for (const Value& value : section.figures) all += fmt::format("{}: {}\n", value.key, as_cell(value));
    for (const std::string& note : section.notes) all += note + "\n";
  }
  return all;
}

std::string report_as_json(const Report& report) {
  Json document = {{"machine",
                    {{"cpu", report.machine.cpu},
                     {"cores", report.machine.cores},
                     {"memory_bytes", report.machine.memory_bytes},
                     {"kernel", report.machine.kernel}}},
                   {"versions",
                    {{"holdfast", report.client_version},
                     {"holdfastd", report.supervisor_version},
                     {"protocol", ipc::kProtocolVersion}}},
                   {"parameters", Json::object()}};
  add(document["parameters"], report.parameters);
  Json notes = Json::array();
  for (const Section& section : report.sections) {
    if (!section.key.empty()) document[section.key] = Json::array();
    for (const Row& row : section.rows) {
      if (section.key.empty()) {
        document[row.key] = as_json(row);
      } else {
        document[section.key].push_back(as_json(row));
      }
    }
    add(document, section.figures);
    for (const std::string& note : section.notes) notes.push_back(fmt::format("{}: {}", section.title, note));
  }
  document["notes"] = std::move(notes);
  return to_output(document) + "\n";
}

}  // namespace holdfast::cli::bench
