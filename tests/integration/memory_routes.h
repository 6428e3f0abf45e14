// Ways to use up memory, taken one after the other beside a module that is not to notice.
#pragma once

#include <string>
#include <vector>

#include "tests/support/daemon.h"

namespace holdfast::test {

// How such a way may end: more than one where garbage collection decides. A function that catches what is thrown gives
// its name.
constexpr const char* kOutOfMemory = "out_of_memory";
constexpr const char* kRangeError = "RangeError";
constexpr const char* kEither = "out_of_memory RangeError";
constexpr const char* kDone = "done";

struct Route {
  const char* name;
  const char* body;  // of an async function, with an array `all` to keep things in
  const char* ends = kOutOfMemory;
};

// A module "glutton" that has each route as a function, and "ping".
Module module_of(const std::vector<Route>& routes, const std::string& prologue = "");

// Takes each route at each limit, and checks its end, that the module's next call works, and that a bystander keeps its
// process.
void check_routes(const std::vector<Route>& routes, const std::string& prologue = "",
                  const std::vector<std::string>& limits = {"32MB"});

}  // namespace holdfast::test
