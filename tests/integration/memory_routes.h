// Ways to use up memory. Each is run beside a module that must not be affected.
#pragma once

#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace holdfast::test {

// How a way may end; several ends are allowed where garbage collection decides. A function that catches an exception
// returns its name.
constexpr const char* kOutOfMemory = "out_of_memory";
constexpr const char* kRangeError = "RangeError";
constexpr const char* kEither = "out_of_memory RangeError";
constexpr const char* kDone = "done";

struct Route {
  const char* name;
  const char* body;  // of an async function, with an array `all` to keep things in
  const char* ends = kOutOfMemory;
};

// A module "glutton" with a function for each route, and "ping".
Module module_of(const std::vector<Route>& routes, const std::string& prologue = "");

// Runs each route at each limit. Checks how it ends, that the module's next call works, and that a bystander keeps its
// process.
void check_routes(const std::vector<Route>& routes, const std::string& prologue = "",
                  const std::vector<std::string>& limits = {"32MB"});

}  // namespace holdfast::test
