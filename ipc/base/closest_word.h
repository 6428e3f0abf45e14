// What somebody meant who mistyped a word.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// The one of `known` that `word` becomes by the fewest steps: a letter more, less, other, or two neighbours exchanged.
// Empty if that would take more than two steps, or more than a third of the word's letters.
std::string closest_word(std::string_view word, std::span<const std::string> known);

// Empty if the word is one of `known`; else what is wrong with it, which words there are, and which one may be meant.
std::string word_problem(std::string_view word, std::span<const std::string> known);

}  // namespace holdfast::ipc
