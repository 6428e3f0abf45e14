#include "tools/cli/table.h"

#include <algorithm>
#include <string_view>

namespace holdfast::cli {
namespace {

constexpr std::size_t kGap = 2;

std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string format_table(const std::vector<Column>& columns, const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    widths.push_back(width(columns[i].title));
    for (const auto& row : rows) widths[i] = std::max(widths[i], width(row[i]));
  }

  std::string table;
  const auto add_line = [&](auto cell) {
    std::string line;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string& text = cell(i);
      const std::string padding(widths[i] - width(text), ' ');
      if (i > 0) line.append(kGap, ' ');
      line += columns[i].align == Align::right ? padding + text : text + padding;
    }
    line.resize(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  };
  add_line([&](std::size_t i) -> const std::string& { return columns[i].title; });
  for (const auto& row : rows) add_line([&](std::size_t i) -> const std::string& { return row[i]; });
  return table;
}

}  // namespace holdfast::cli
