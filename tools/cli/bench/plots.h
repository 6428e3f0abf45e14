// The curves of a report as SVG files.
#pragma once

#include <filesystem>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "tools/cli/bench/results.h"
#include "tools/cli/bench/svg.h"

namespace holdfast::cli::bench {

// Makes a plot with one line for each name among the rows that have the curves' values. A row without the varied
// value, such as a floor, becomes a level line.
Plot to_plot(const Section& section, const Curves& curves);

// Writes NAME.svg into `folder` for each of the sections' curves that has a point. Creates the folder if necessary.
// The error says what could not be written.
tl::expected<void, std::string> write_plots(const std::vector<Section>& sections, const std::filesystem::path& folder);

}  // namespace holdfast::cli::bench
