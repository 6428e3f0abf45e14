#include "ipc/base/closest_word.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <vector>

namespace holdfast::ipc {
namespace {

constexpr std::size_t kMaxWordBytes = 64;
constexpr std::size_t kMaxSteps = 2;

// The optimal string alignment distance.
std::size_t steps_between(std::string_view from, std::string_view to) {
  const std::size_t width = to.size() + 1;
  std::vector<std::size_t> steps((from.size() + 1) * width);
  const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& { return steps[i * width + j]; };
  for (std::size_t i = 0; i <= from.size(); ++i) at(i, 0) = i;
  for (std::size_t j = 0; j <= to.size(); ++j) at(0, j) = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t other = from[i - 1] == to[j - 1] ? 0 : 1;
      at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + other});
      if (i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1]) {
        at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
      }
    }
  }
  return at(from.size(), to.size());
}

}  // namespace

std::string closest_word(std::string_view word, std::span<const std::string> known) {
  if (word.empty() || word.size() > kMaxWordBytes) return {};
  std::string closest;
  std::size_t fewest = std::min(kMaxSteps, std::max<std::size_t>(1, word.size() / 3)) + 1;
  for (const std::string& candidate : known) {
    if (candidate.size() > kMaxWordBytes) continue;
    const std::size_t steps = steps_between(word, candidate);
    if (steps >= fewest) continue;
    fewest = steps;
    closest = candidate;
  }
  return closest;
}

std::string word_problem(std::string_view word, std::span<const std::string> known) {
  if (std::ranges::find(known, word) != known.end()) return "";
  std::string list;
  for (const std::string& one : known) fmt::format_to(std::back_inserter(list), "{}{}", list.empty() ? "" : ", ", one);
  const std::string meant = closest_word(word, known);
  return fmt::format("\"{}\" is not known; expected one of {}{}{}{}", word, list,
                     meant.empty() ? "" : "; did you mean ", meant, meant.empty() ? "" : "?");
}

}  // namespace holdfast::ipc
