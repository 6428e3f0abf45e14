// How long a worker says that it was at work.
#include "supervisor/workers/told_run_time.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_CASE("the times that a worker tells add up") {
  ToldRunTime told;
  CHECK(told.add(2ms, 1h));
  CHECK(told.add(5ms, 1h));
  CHECK(told.sum() == 7ms);
}

TEST_CASE("a report of less than a long run violates the protocol") {
  ToldRunTime told;
  CHECK_FALSE(told.add(ipc::kLongRun - 1ns, 1h));
  CHECK(told.add(ipc::kLongRun, 1h));
}

TEST_CASE("a worker cannot have worked for longer in all than it has lived, but for a difference of clocks") {
  ToldRunTime told;
  CHECK(told.add(1h, 1h));
  CHECK(told.add(ToldRunTime::kClockSlack, 1h));
  CHECK_FALSE(told.add(ipc::kLongRun, 1h));
}

}  // namespace
}  // namespace holdfast::supervisor
