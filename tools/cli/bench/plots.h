// The curves of a report as pictures.
#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <tl/expected.hpp>

#include "tools/cli/bench/results.h"
#include "tools/cli/bench/svg.h"

namespace holdfast::cli::bench {

// One line for each name that rows with such values have. Where a row lacks what is varied, as a floor may, its line is
// level.
Plot to_plot(const Section& section, const Curves& curves);

// Writes NAME.svg for each of the sections' curves that has a point, into a folder that is made if it is not there.
// The error says what could not be written.
tl::expected<void, std::string> write_plots(const std::vector<Section>& sections, const std::filesystem::path& folder);

}  // namespace holdfast::cli::bench
