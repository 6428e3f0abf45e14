// The path of the program that runs another one in surroundings like a container's (confine.cc).
#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

namespace holdfast::test {

// Fails the test if the environment does not name it.
inline std::string confine_program() {
  const char* const program = std::getenv("HOLDFAST_TEST_CONFINE");
  if (program == nullptr) FAIL("HOLDFAST_TEST_CONFINE is not set; run the tests by `meson test`");
  return program;
}

}  // namespace holdfast::test
