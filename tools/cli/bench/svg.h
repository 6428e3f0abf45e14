// A plot as an SVG picture (https://www.w3.org/TR/SVG11/): lines with marks, two axes, a grid and a legend. Only text
// and shapes, without scripts or external resources.
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
  std::function<std::string(double)> format;  // formats a tick; must be set
};

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // x and y, in the order in which they are joined
};

struct Plot {
  std::string title;
  Axis x;
  Axis y;
  std::vector<Line> lines;
};

// The ticks of an axis from `low` to `high`, ascending: round numbers, at least two and at most about ten, the
// outermost at or beyond `low` and `high`. On a logarithmic scale, `low` and `high` must be above 0; the ticks are
// powers of ten, and where these are few also their double and fivefold.
std::vector<double> ticks(double low, double high, Scale scale);

// Draws the plot. Leaves out points that are not numbers, or that are 0 or less on a logarithmic axis.
std::string to_svg(const Plot& plot);

}  // namespace holdfast::cli::bench
