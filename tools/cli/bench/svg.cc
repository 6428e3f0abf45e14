#include "tools/cli/bench/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace holdfast::cli::bench {
namespace {

constexpr double kWidth = 840;
constexpr double kHeight = 440;
constexpr double kLeft = 80;
constexpr double kTop = 44;
constexpr double kRight = 490;  // the legend is to the right of this
constexpr double kBottom = 380;

// The colours of Okabe and Ito, which people with any kind of colour vision can tell apart, without the yellow, which
// is too light for lines on white.
constexpr std::array<const char*, 9> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00",
                                                 "#56b4e9", "#000000", "#8c564b", "#7f7f7f"};

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '&') {
      result += "&amp;";
    } else if (c == '<') {
      result += "&lt;";
    } else if (c == '>') {
      result += "&gt;";
    } else if (c == '"') {
      result += "&quot;";
    } else {
      result += c;
    }
  }
  return result;
}

bool has_place(double value, Scale scale) { return std::isfinite(value) && (scale == Scale::linear || value > 0); }

// The step between ticks: 1, 2 or 5 times a power of ten.
double round_step(double span) {
  constexpr double kMostSteps = 8;
  const double least = span / kMostSteps;
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= least) return factor * power;
  }
  return 10 * power;
}

// Maps values of an axis to positions in the picture.
class Placement {
 public:
  Placement(const std::vector<double>& ticks, Scale scale, double begin, double end)
      : scale_(scale), low_(on_scale(ticks.front())), high_(on_scale(ticks.back())), begin_(begin), end_(end) {}

  double operator()(double value) const { return begin_ + (on_scale(value) - low_) / (high_ - low_) * (end_ - begin_); }

 private:
  double on_scale(double value) const { return scale_ == Scale::linear ? value : std::log10(value); }

  Scale scale_;
  double low_;
  double high_;
  double begin_;
  double end_;
};

std::string text_at(double x, double y, const char* anchor, const std::string& text, const std::string& more = "") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\"{}>{}</text>\n", x, y, anchor, more,
                     escaped(text));
}

std::string line_from(double x1, double y1, double x2, double y2, const char* colour) {
  return fmt::format("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2, y2,
                     colour);
}

}  // namespace

std::vector<double> ticks(double low, double high, Scale scale) {
  std::vector<double> result;
  if (scale == Scale::linear) {
    const double step = round_step(high > low ? high - low : std::max(std::abs(low), 1.0));
    const double first = std::floor(low / step);
    const double last = std::max(std::ceil(high / step), first + 1);
    for (double i = first; i <= last; ++i) result.push_back(i * step);
    return result;
  }
  constexpr double kFewPowers = 3;
  const bool is_short = std::log10(high / low) < kFewPowers;
  for (double power = std::floor(std::log10(low)); result.size() < 2 || result.back() < high; ++power) {
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor > 1 && !is_short) continue;
      const double tick = factor * std::pow(10, power);
      if (result.size() >= 2 && result.back() >= high) break;
      if (!result.empty() && tick <= low) result.clear();
      result.push_back(tick);
    }
  }
  return result;
}

std::string to_svg(const Plot& plot) {
  constexpr double kMost = std::numeric_limits<double>::infinity();
  std::pair<double, double> x_range(kMost, -kMost);
  std::pair<double, double> y_range(kMost, -kMost);
  const auto include = [](std::pair<double, double>& range, double value) {
    range = {std::min(range.first, value), std::max(range.second, value)};
  };
  const auto can_be_shown = [&](const std::pair<double, double>& point) {
    return has_place(point.first, plot.x.scale) && has_place(point.second, plot.y.scale);
  };
  for (const Line& line : plot.lines) {
    for (const auto& point : line.points) {
      if (!can_be_shown(point)) continue;
      include(x_range, point.first);
      include(y_range, point.second);
    }
  }
  if (x_range.first > x_range.second) x_range = y_range = {1, 1};  // no points: empty axes
  if (plot.y.scale == Scale::linear) include(y_range, 0);          // so that differences show in proportion

  const auto x_ticks = ticks(x_range.first, x_range.second, plot.x.scale);
  const auto y_ticks = ticks(y_range.first, y_range.second, plot.y.scale);
  const Placement x(x_ticks, plot.x.scale, kLeft, kRight);
  const Placement y(y_ticks, plot.y.scale, kBottom, kTop);

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
      "font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n",
      kWidth, kHeight);
  svg += text_at(kLeft, kTop - 20, "start", plot.title, " font-size=\"15\"");
  for (const double tick : x_ticks) {
    svg += line_from(x(tick), kTop, x(tick), kBottom, "#dddddd");
    svg += text_at(x(tick), kBottom + 18, "middle", plot.x.format(tick));
  }
  for (const double tick : y_ticks) {
    svg += line_from(kLeft, y(tick), kRight, y(tick), "#dddddd");
    svg += text_at(kLeft - 8, y(tick) + 4, "end", plot.y.format(tick));
  }
  svg += line_from(kLeft, kBottom, kRight, kBottom, "#333333");
  svg += line_from(kLeft, kTop, kLeft, kBottom, "#333333");
  svg += text_at((kLeft + kRight) / 2, kBottom + 42, "middle", plot.x.label);
  const double middle = (kTop + kBottom) / 2;
  svg += text_at(16, middle, "middle", plot.y.label, fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", middle));

  for (std::size_t i = 0; i < plot.lines.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    std::string points;
    std::string marks;
    for (const auto& point : plot.lines[i].points) {
      if (!can_be_shown(point)) continue;
      points += fmt::format("{}{:.1f},{:.1f}", points.empty() ? "" : " ", x(point.first), y(point.second));
      marks += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\" fill=\"{}\"/>\n", x(point.first),
                           y(point.second), colour);
    }
    svg += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n{}", points, colour,
                       marks);
    const double legend = kTop + 10 + 20 * static_cast<double>(i);
    svg += fmt::format("<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"14\" height=\"4\" fill=\"{}\"/>\n", kRight + 16,
                       legend - 6, colour);
    svg += text_at(kRight + 36, legend, "start", plot.lines[i].name, " font-size=\"11\"");
  }
  return svg + "</svg>\n";
}

}  // namespace holdfast::cli::bench
