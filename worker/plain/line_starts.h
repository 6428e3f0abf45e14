// Where the lines of a text begin, to convert between offsets and places. Offsets are in UTF-16 code units from 0 on;
// lines and columns count from 1.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace holdfast::worker {

class LineStarts {
 public:
  // Reads the next part of the text. A line ends at U+000A.
  void add(std::span<const std::uint16_t> part) {
    for (const std::uint16_t unit : part) {
      ++read_;
      if (unit == u'\n') starts_.push_back(read_);
    }
  }

  // The offset at which the line begins; nothing if there is no such line.
  std::optional<std::uint32_t> start_of(std::uint32_t line) const {
    if (line == 0 || line > starts_.size()) return std::nullopt;
    return starts_[line - 1];
  }

  struct Place {
    std::uint32_t line;
    std::uint32_t column;
  };
  // The place of an offset, which is within the text.
  Place place_of(std::uint32_t offset) const {
    const auto next = std::ranges::upper_bound(starts_, offset);
    return {static_cast<std::uint32_t>(next - starts_.begin()), offset - *(next - 1) + 1};
  }

 private:
  std::vector<std::uint32_t> starts_{0};
  std::uint32_t read_ = 0;
};

}  // namespace holdfast::worker
