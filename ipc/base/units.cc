#include "ipc/base/units.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <span>

namespace holdfast::ipc {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// In ascending order, which format() relies on.
constexpr std::array<Unit, 7> kDurations = {
    {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}, {"d", 24 * 3600e9}}};
constexpr double kKibi = 1024;
constexpr std::array<Unit, 5> kSizes = {
    {{"B", 1}, {"kB", kKibi}, {"MB", kKibi* kKibi}, {"GB", kKibi* kKibi* kKibi}, {"TB", kKibi* kKibi* kKibi* kKibi}}};
constexpr std::array<Unit, 5> kSizeAliases = {{{"KB", kSizes[1].factor},
                                               {"KiB", kSizes[1].factor},
                                               {"MiB", kSizes[2].factor},
                                               {"GiB", kSizes[3].factor},
                                               {"TiB", kSizes[4].factor}}};

const Unit* find(std::span<const Unit> units, std::string_view name) {
  for (const Unit& unit : units) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

// The number, and the text after it.
tl::expected<std::pair<double, std::string_view>, std::string> parse_number(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc{} || !(number >= 0)) return tl::unexpected(std::string("is not a number with a unit"));
  return std::pair{number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::string format(std::span<const Unit> units, double value) {
  // The digit after the point is rounded before the unit is chosen: 999.96ms is 1s, not 1000ms.
  const auto rounded = [&](const Unit& unit) { return std::round(value / unit.factor * 10) / 10; };
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (rounded(*best) * best->factor >= unit.factor) best = &unit;
  }
  std::string text = fmt::format("{:.1f}", rounded(*best));
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text + std::string(best->name);
}

}  // namespace

tl::expected<std::chrono::nanoseconds, std::string> parse_duration(std::string_view text) {
  constexpr std::string_view kExpected = "expected a number and a unit (ns, us, ms, s, m, h, d), such as 200ms or 5s";
  const auto parsed = parse_number(text);
  if (!parsed) return tl::unexpected(fmt::format("\"{}\" {}; {}", text, parsed.error(), kExpected));
  const auto [number, suffix] = *parsed;
  if (number == 0 && suffix.empty()) return std::chrono::nanoseconds(0);
  const Unit* unit = find(kDurations, suffix);
  if (unit == nullptr) {
    return tl::unexpected(fmt::format("\"{}\" has {}; {}", text,
                                      suffix.empty() ? "no unit" : fmt::format("the unknown unit \"{}\"", suffix),
                                      kExpected));
  }
  const double nanos = number * unit->factor;
  if (nanos > 100 * 365 * kDurations.back().factor) return tl::unexpected(fmt::format("\"{}\" is too long", text));
  return std::chrono::nanoseconds(std::llround(nanos));
}

tl::expected<std::uint64_t, std::string> parse_size(std::string_view text) {
  constexpr std::string_view kExpected = "expected a number and a unit (B, kB, MB, GB, TB), such as 128MB";
  const auto parsed = parse_number(text);
  if (!parsed) return tl::unexpected(fmt::format("\"{}\" {}; {}", text, parsed.error(), kExpected));
  const auto [number, suffix] = *parsed;
  if (number == 0 && suffix.empty()) return 0;
  const Unit* unit = find(kSizes, suffix);
  if (unit == nullptr) unit = find(kSizeAliases, suffix);
  if (unit == nullptr) {
    return tl::unexpected(fmt::format("\"{}\" has {}; {}", text,
                                      suffix.empty() ? "no unit" : fmt::format("the unknown unit \"{}\"", suffix),
                                      kExpected));
  }
  const double bytes = number * unit->factor;
  if (bytes > 1024 * kSizes.back().factor) return tl::unexpected(fmt::format("\"{}\" is too large", text));
  return static_cast<std::uint64_t>(std::llround(bytes));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  return format(std::span(kDurations).first(4), static_cast<double>(duration.count()));
}

std::string format_size(std::uint64_t bytes) { return format(kSizes, static_cast<double>(bytes)); }

}  // namespace holdfast::ipc
