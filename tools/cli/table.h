// Columns for a terminal.
#pragma once

#include <string>
#include <vector>

namespace holdfast::cli {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

// One line for the titles and one for each row, columns two spaces apart, no space at a line's end. Each row has as
// many cells as there are columns, in UTF-8 that is fit to print; a character is taken to be one column wide.
std::string format_table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows);

}  // namespace holdfast::cli
