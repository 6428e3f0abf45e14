#include "tools/cli/bench/plots.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>

#include "ipc/base/units.h"

namespace holdfast::cli::bench {
namespace {

// Formats 1500000 as "1.5M".
std::string short_number(double value) {
  const double size = std::abs(value);
  if (size >= 1e6) return fmt::format("{:g}M", value / 1e6);
  if (size >= 1e3) return fmt::format("{:g}k", value / 1e3);
  return fmt::format("{:g}", value);
}

std::string short_duration(double nanos) {
  return ipc::format_duration(nanoseconds(static_cast<nanoseconds::rep>(std::llround(nanos))));
}

// Sizes use powers of ten, as the ticks do.
std::string short_size(double size) { return short_number(size) + "B"; }

std::function<std::string(double)> format_of(const std::string& key) {
  if (key.ends_with("_ns")) return short_duration;
  if (key.ends_with("_bytes")) return short_size;
  return short_number;
}

// Logarithmic if the factor from the smallest to the largest value is large.
Scale scale_of(const std::vector<Line>& lines, double std::pair<double, double>::*coordinate) {
  constexpr double kMostLinear = 20;
  double least = INFINITY;
  double most = -INFINITY;
  for (const Line& line : lines) {
    for (const auto& point : line.points) {
      least = std::min(least, point.*coordinate);
      most = std::max(most, point.*coordinate);
    }
  }
  return least > 0 && most / least > kMostLinear ? Scale::logarithmic : Scale::linear;
}

Line& line_named(std::vector<Line>& lines, const std::string& name) {
  const auto found = std::ranges::find(lines, name, &Line::name);
  if (found != lines.end()) return *found;
  return lines.emplace_back(Line{name, {}});
}

// The distribution of latencies: for each percentile, the latency that one call in N takes at least; for percentile 99,
// N is a hundred.
Plot distribution(const Section& section, const Curves& curves) {
  std::vector<Line> lines;
  for (const Row& row : section.rows) {
    if (!row.latency) continue;
    const Summary& latency = *row.latency;
    const auto count = static_cast<double>(latency.count);
    Line line{row.what, {}};
    for (const auto& [one_of, value] :
         {std::pair(2.0, latency.p50), {10.0, latency.p90}, {100.0, latency.p99}, {1000.0, latency.p999}}) {
      if (one_of <= count) line.points.emplace_back(one_of, static_cast<double>(value.count()));
    }
    if (count > 0) line.points.emplace_back(count, static_cast<double>(latency.max.count()));
    lines.push_back(std::move(line));
  }
  const Scale scale = scale_of(lines, &std::pair<double, double>::second);
  return {curves.title,
          {"one call in this many takes at least this long", Scale::logarithmic, short_number},
          {"latency", scale, short_duration},
          std::move(lines)};
}

}  // namespace

Plot to_plot(const Section& section, const Curves& curves) {
  if (curves.x.empty()) return distribution(section, curves);
  std::vector<Line> lines;
  double least = INFINITY;
  double most = -INFINITY;
  for (const Row& row : section.rows) {
    const auto x = number(row, curves.x);
    const auto y = number(row, curves.y);
    if (!x || !y) continue;
    line_named(lines, row.what).points.emplace_back(*x, *y);
    least = std::min(least, *x);
    most = std::max(most, *x);
  }
  for (const Row& row : section.rows) {
    const auto y = number(row, curves.y);
    if (!y || number(row, curves.x) || least > most) continue;
    lines.push_back({row.what, {{least, *y}, {most, *y}}});  // the same for every x
  }
  const Scale x_scale = scale_of(lines, &std::pair<double, double>::first);
  const Scale y_scale = scale_of(lines, &std::pair<double, double>::second);
  return {curves.title,
          {curves.x_label, x_scale, format_of(curves.x)},
          {curves.y_label, y_scale, format_of(curves.y)},
          std::move(lines)};
}

tl::expected<void, std::string> write_plots(const std::vector<Section>& sections, const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) return tl::unexpected(fmt::format("cannot make the folder {}: {}", folder.string(), error.message()));
  for (const Section& section : sections) {
    for (const Curves& curves : section.curves) {
      const Plot plot = to_plot(section, curves);
      if (std::ranges::all_of(plot.lines, [](const Line& line) { return line.points.empty(); })) continue;
      const std::filesystem::path path = folder / (curves.name + ".svg");
      std::ofstream file(path);
      file << to_svg(plot);
      if (!file.flush()) {
        return tl::unexpected(fmt::format("cannot write {}: {}", path.string(), std::strerror(errno)));
      }
    }
  }
  return {};
}

}  // namespace holdfast::cli::bench
