#include "supervisor/workers/usage_meter.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

TEST_CASE("what a process uses is shared evenly by the calls that it has") {
  UsageMeter meter;
  meter.begin(1s);
  CHECK(meter.read(2s) == 1s);
  CHECK(meter.share() == 0s);
  meter.call_begins();
  meter.read(3s);
  meter.call_begins();
  meter.read(5s);
  CHECK(meter.share() == 2s);
  meter.call_ends();
  CHECK(meter.read(5s) == 0s);
  CHECK(meter.cpu_time() == 5s);
  CHECK(meter.calls_begun() == 2);
}

TEST_CASE("work for no call is shared in the same way and a worker that retracts a report changes nothing") {
  UsageMeter meter;
  meter.read_unclaimed(1s);
  CHECK(meter.unclaimed_share() == 0s);
  meter.call_begins();
  meter.call_begins();
  meter.read_unclaimed(2s);
  CHECK(meter.unclaimed_share() == 500ms);
  meter.read_unclaimed(1s);
  CHECK(meter.unclaimed_share() == 500ms);
  meter.read_unclaimed(3s);
  CHECK(meter.unclaimed_share() == 1s);
  CHECK(meter.share() == 0s);
}

TEST_CASE("the peak of memory is measured since the worker was last without calls") {
  UsageMeter meter;
  meter.saw_memory(30);
  meter.saw_memory(10);
  meter.call_begins();
  CHECK(meter.peak_memory() == 10);
  meter.saw_memory(20);
  meter.call_begins();
  CHECK(meter.peak_memory() == 20);
}

}  // namespace
}  // namespace holdfast::supervisor
