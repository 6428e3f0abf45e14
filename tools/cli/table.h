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

// One line for the titles and one for each row, with columns two spaces apart and no trailing spaces. Each row has
// one cell for each column, in UTF-8 that is safe to print. Every character counts as one column wide.
std::string format_table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows);

}  // namespace holdfast::cli
