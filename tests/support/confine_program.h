// Where the program is that runs another in surroundings like a container's (confine.cc).
#pragma once

#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

namespace holdfast::test {

// Fails the test if it is not told.
inline std::string confine_program() {
  const char* const program = std::getenv("HOLDFAST_TEST_CONFINE");
  if (program == nullptr) FAIL("HOLDFAST_TEST_CONFINE is not set; run the tests by `meson test`");
  return program;
}

}  // namespace holdfast::test
