// A plot as an SVG picture (https://www.w3.org/TR/SVG11/): lines with marks over two axes, a grid, a legend. Text and
// shapes alone, no script, nothing that is loaded from elsewhere.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace holdfast::cli::bench {

enum class Scale { linear, logarithmic };

struct Axis {
  std::string label;
  Scale scale = Scale::linear;
  std::function<std::string(double)> format;  // of a tick; must be set
};

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x and y; in the order in which they are joined
};

struct Plot {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Line> lines;
};

// The ticks of an axis from `low` to `high`, ascending: round numbers, at most about ten, the outermost at or beyond
// `low` and `high`; at least two. On a logarithmic scale, where both must be above 0, powers of ten, or of ten and
// their double and fivefold where there are few.
std::vector<double> ticks(double low, double high, Scale scale);

// Points that have no place on a logarithmic axis (0 and below), or are no number, are left out.
std::string to_svg(const Plot& plot);

}  // namespace holdfast::cli::bench
