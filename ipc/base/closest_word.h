// Suggestions for mistyped words.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// The word of `known` that is the fewest edits away from `word`; an edit adds, removes or changes one letter, or
// swaps two neighbours. Empty if that takes more than two edits, or more edits than a third of the word's letters
// (one is always allowed).
std::string closest_word(std::string_view word, std::span<const std::string> known);

// Empty if `word` is one of `known`; else a message that quotes it, lists the known words and suggests the closest.
std::string word_problem(std::string_view word, std::span<const std::string> known);

}  // namespace holdfast::ipc
