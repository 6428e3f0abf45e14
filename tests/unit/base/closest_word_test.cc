// Suggestions for mistyped words.
#include "ipc/base/closest_word.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace holdfast::ipc {
namespace {

TEST_CASE("the closest word is one or two steps away, and the closer the better") {
  const std::vector<std::string> known = {"run", "invoke", "ps", "stats", "--timeout", "--memory"};
  CHECK(closest_word("runn", known) == "run");
  CHECK(closest_word("rnu", known) == "run");
  CHECK(closest_word("stat", known) == "stats");
  CHECK(closest_word("invok", known) == "invoke");
  CHECK(closest_word("--timeot", known) == "--timeout");
  CHECK(closest_word("--tiemoutt", known) == "--timeout");
}

TEST_CASE("a word that resembles no other has no closest word") {
  const std::vector<std::string> known = {"run", "ps", "--memory"};
  CHECK(closest_word("frobnicate", known) == "");
  CHECK(closest_word("xy", known) == "");
  CHECK(closest_word("", known) == "");
  CHECK(closest_word(std::string(100'000, 'r'), known) == "");
  CHECK(closest_word("run", {}) == "");
}

TEST_CASE("the error about an unknown word lists the known ones and the likely one") {
  const std::vector<std::string> known = {"jit", "strict"};
  CHECK(word_problem("jit", known) == "");
  CHECK(word_problem("strct", known) == "\"strct\" is not known; expected one of jit, strict; did you mean strict?");
  CHECK(word_problem("fast", known) == "\"fast\" is not known; expected one of jit, strict");
}

}  // namespace
}  // namespace holdfast::ipc
