// Tests that cannot run everywhere. Where one cannot, it is skipped, and does not count as passed: a line tells its
// name and why, and tools/test counts the lines.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <iostream>

#include "tests/support/as_nobody.h"

namespace holdfast::test {

// A decorator: TEST_CASE("…" * needs_root()).
class Needs {
 public:
  // `what` must live as long as the program.
  Needs(bool is_there, const char* what) : is_there_(is_there), what_(what) {}
  void fill(doctest::detail::TestCase& test) const {
    if (is_there_) return;
    test.m_skip = true;
    test.m_description = what_;
  }

 private:
  const bool is_there_;
  const char* const what_;
};

inline Needs needs_root() { return {::geteuid() == 0, "it needs root"}; }

// For tests in which holdfastd, or the test, serves several users.
inline Needs needs_root_for_holdfastd() {
  return {::geteuid() == 0 && !is_for_nobody(), "it needs root, and a holdfastd that is root's"};
}

// For where only a test that runs finds out: `if (…) return skip_this_test("why")`. doctest counts such a test as
// passed, tools/test does not.
inline void skip_this_test(const char* why) {
  std::cout << "[skipped itself] " << doctest::getContextOptions()->currentTest->m_name << ": " << why << std::endl;
}

// For test_case_skipped() of a listener. Tests that the command line's filters leave out are not told.
inline void tell_skipped(const doctest::TestCaseData& test) {
  if (!test.m_skip) return;
  std::cout << "[skipped] " << test.m_name;
  if (test.m_description != nullptr) std::cout << ": " << test.m_description;
  std::cout << std::endl;
}

}  // namespace holdfast::test
