// The watch over one worker's memory, with readings that say what the test wants.
#include "supervisor/workers/memory_watch.h"

#include <doctest/doctest.h>

#include <optional>

#include "supervisor/broker/broker.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Verdict = MemoryWatch::Verdict;

constexpr MemoryWatch::TimePoint kNow{1000s};
constexpr std::uint64_t kLimit = std::uint64_t{512} << 20;
constexpr std::uint64_t kAllowed = kLimit + MemoryWatch::kNativeAllowance;

TEST_CASE("a worker may hold its limit and what native code needs for good") {
  MemoryWatch watch;
  for (auto now = kNow; now < kNow + 1h; now += 1min) REQUIRE(watch.judge(kAllowed, kLimit, now) == Verdict::fine);
  CHECK_FALSE(watch.is_over_limit());
}

TEST_CASE("a worker may hold somewhat more for a short time only") {
  MemoryWatch watch;
  CHECK(watch.judge(kAllowed + 1, kLimit, kNow) == Verdict::over_limit);
  CHECK(watch.is_over_limit());
  CHECK(watch.judge(kAllowed + 1, kLimit, kNow + MemoryWatch::kGrace - 1ns) == Verdict::over_limit);
  CHECK(watch.judge(kAllowed + 1, kLimit, kNow + MemoryWatch::kGrace) == Verdict::too_much);
}

TEST_CASE("a worker that has given memory back may hold somewhat more for a short time again") {
  MemoryWatch watch;
  CHECK(watch.judge(kAllowed + 1, kLimit, kNow) == Verdict::over_limit);
  CHECK(watch.judge(kAllowed, kLimit, kNow + 500ms) == Verdict::fine);
  CHECK_FALSE(watch.is_over_limit());
  CHECK(watch.judge(kAllowed + 1, kLimit, kNow + MemoryWatch::kGrace) == Verdict::over_limit);
}

TEST_CASE("a worker that holds far more must end at once") {
  MemoryWatch watch;
  CHECK(watch.judge(kLimit + MemoryWatch::kHeadroom, kLimit, kNow) == Verdict::over_limit);
  CHECK(watch.judge(kLimit + MemoryWatch::kHeadroom + 1, kLimit, kNow) == Verdict::too_much);
}

TEST_CASE("a worker may have more mappings the more memory its module may have, within bounds") {
  CHECK(MemoryWatch::most_mappings(0) == MemoryWatch::kMostMappings);
  CHECK(MemoryWatch::most_mappings(kLimit) == kLimit / MemoryWatch::kLeastMemoryOfMapping);
  CHECK(MemoryWatch::most_mappings(UINT64_MAX) == Broker::kMostMappingsCounted);
}

TEST_CASE("a worker with too many mappings must end, however little memory it holds") {
  MemoryWatch watch;
  const auto most = static_cast<std::uint32_t>(MemoryWatch::most_mappings(kLimit));
  watch.counted(most - 1, kNow, 1s);
  CHECK(watch.judge(0, kLimit, kNow) == Verdict::fine);
  watch.counted(most, kNow, 1s);
  CHECK(watch.judge(0, kLimit, kNow) == Verdict::too_many_mappings);
}

TEST_CASE("mappings take memory, and the last count stays if they cannot be counted") {
  MemoryWatch watch;
  CHECK(watch.bytes_of_mappings() == 0);
  watch.counted(1000, kNow, 1s);
  watch.counted(std::nullopt, kNow, 1s);
  CHECK(watch.mappings() == 1000);
  CHECK(watch.bytes_of_mappings() == 1000 * MemoryWatch::kBytesOfMapping);
}

TEST_CASE("mappings are counted when the count is old and the worker has used the CPU since") {
  MemoryWatch watch;
  constexpr MemoryWatch::Duration kUsed = 1s;
  watch.counted(1, kNow, kUsed);
  const auto old = kNow + MemoryWatch::kMappingsKnown;
  const auto enough = kUsed + MemoryWatch::kSoonestManyMappings;
  CHECK(watch.must_count_mappings(old, enough));
  CHECK_FALSE(watch.must_count_mappings(old - 1ns, enough));
  CHECK_FALSE(watch.must_count_mappings(old, enough - 1ns));
}

TEST_CASE("a reading of memory is fresh for a short time") {
  MemoryWatch watch;
  CHECK(watch.is_stale(kNow));
  watch.seen(kNow);
  CHECK_FALSE(watch.is_stale(kNow + MemoryWatch::kFresh - 1ns));
  CHECK(watch.is_stale(kNow + MemoryWatch::kFresh));
}

}  // namespace
}  // namespace holdfast::supervisor
