#include "supervisor/workers/line_share.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using std::chrono::milliseconds;

TEST_CASE("without a line the other calls get the whole CPU time") {
  LineShare share;
  CHECK(share.cpu_time_of_others(milliseconds(5), milliseconds(0), milliseconds(10)) == milliseconds(5));
  CHECK(share.cpu_time_of_others(milliseconds(9), milliseconds(0), milliseconds(20)) == milliseconds(9));
}

TEST_CASE("a line that works all the time is charged all of the CPU time since then") {
  LineShare share;
  CHECK(share.cpu_time_of_others(milliseconds(5), milliseconds(0), milliseconds(10)) == milliseconds(5));
  CHECK(share.cpu_time_of_others(milliseconds(15), milliseconds(10), milliseconds(20)) == milliseconds(5));
}

// By the wall clock, the line was at work for as long as the process had the CPU.
TEST_CASE("a line that is at work for half of the time, on a CPU that others use, too, leaves half of the CPU time") {
  LineShare share;
  for (int look = 1; look <= 10; ++look) {
    CHECK(share.cpu_time_of_others(look * milliseconds(4), look * milliseconds(4), look * milliseconds(8)) ==
          look * milliseconds(2));
  }
}

TEST_CASE("an impossible report about a line is capped at the available CPU time") {
  LineShare share;
  CHECK(share.cpu_time_of_others(milliseconds(5), milliseconds(1000), milliseconds(10)) == milliseconds(0));
  CHECK(share.cpu_time_of_others(milliseconds(9), milliseconds(0), milliseconds(20)) == milliseconds(4));
  CHECK(share.cpu_time_of_others(milliseconds(9), milliseconds(0), milliseconds(20)) == milliseconds(4));
}

}  // namespace
}  // namespace holdfast::supervisor
