#include "tools/cli/bench/results.h"

#include <utility>

namespace holdfast::cli::bench {
namespace {

double in_seconds(nanoseconds elapsed) { return std::chrono::duration<double>(elapsed).count(); }

}  // namespace

Value text(std::string key, std::string value) { return {std::move(key), std::move(value), Unit::none}; }

Value count(std::string key, double value) { return {std::move(key), value, Unit::count}; }

Value ratio(std::string key, double value) { return {std::move(key), value, Unit::ratio}; }

Value duration(const std::string& key, nanoseconds value) {
  return {key + "_ns", static_cast<double>(value.count()), Unit::nanoseconds};
}

Value bytes(const std::string& key, std::optional<double> value) {
  Value result{key + "_bytes", {}, Unit::bytes};
  if (value) result.value = *value;
  return result;
}

Value calls_per_second(std::size_t calls, nanoseconds elapsed) {
  const double rate = elapsed.count() == 0 ? 0 : static_cast<double>(calls) / in_seconds(elapsed);
  return {"calls_per_second", rate, Unit::calls_per_second};
}

Value megabytes_per_second(double bytes, nanoseconds elapsed) {
  const double rate = elapsed.count() == 0 ? 0 : bytes / 1e6 / in_seconds(elapsed);
  return {"megabytes_per_second", rate, Unit::megabytes_per_second};
}

std::vector<Value> percentiles(const Summary& latency) {
  return {duration("min", latency.min), duration("p50", latency.p50),   duration("p90", latency.p90),
          duration("p99", latency.p99), duration("p999", latency.p999), duration("max", latency.max)};
}

std::optional<double> number(const Row& row, const std::string& key) {
  const auto find = [&](const std::vector<Value>& values) -> std::optional<double> {
    for (const Value& value : values) {
      if (value.key != key) continue;
      if (const auto* found = std::get_if<double>(&value.value)) return *found;
    }
    return std::nullopt;
  };
  if (const auto parameter = find(row.parameters)) return parameter;
  if (const auto figure = find(row.figures)) return figure;
  return row.latency ? find(percentiles(*row.latency)) : std::nullopt;
}

}  // namespace holdfast::cli::bench
