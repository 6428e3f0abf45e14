// How far a worker is with its module.
#include "supervisor/workers/module_load.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Phase = ModuleLoad::Phase;

constexpr ModuleLoad::TimePoint kSentAt{1000s};

TEST_CASE("a load is under way from when the module is sent until the worker says what became of it") {
  ModuleLoad load;
  CHECK(load.phase() == Phase::none);
  load.send(kSentAt);
  CHECK(load.phase() == Phase::sent);
  CHECK_FALSE(load.is_done());
  CHECK_FALSE(load.loaded_at().has_value());
  SUBCASE("it has loaded it") {
    load.succeed(kSentAt + 1s);
    CHECK(load.loaded_at() == kSentAt + 1s);
  }
  SUBCASE("it could not") {
    load.fail();
    CHECK_FALSE(load.loaded_at().has_value());
  }
  CHECK(load.is_done());
}

TEST_CASE("a load is overdue only while it is under way, and only after the longest time for it") {
  ModuleLoad load;
  CHECK_FALSE(load.is_overdue(kSentAt));
  load.send(kSentAt);
  CHECK_FALSE(load.is_overdue(kSentAt + ModuleLoad::kLongest));
  CHECK(load.is_overdue(kSentAt + ModuleLoad::kLongest + 1ns));
  load.fail();
  CHECK_FALSE(load.is_overdue(kSentAt + ModuleLoad::kLongest + 1ns));
}

}  // namespace
}  // namespace holdfast::supervisor
