#include "ipc/large_memory.h"

#include <doctest/doctest.h>

#include <optional>

#include "ipc/frame.h"

namespace holdfast::ipc {
namespace {

constexpr std::size_t kMegabyte = std::size_t{1} << 20;
constexpr std::size_t kMegabyteWords = kMegabyte / sizeof(Word);

// Memory is kept per thread: each test begins and ends with nothing kept, and restores the bound.
struct KeepsUpTo {
  explicit KeepsUpTo(std::size_t bytes) {
    LargeMemory::keep(bytes);
    REQUIRE(LargeMemory::kept_bytes() == 0);
  }
  ~KeepsUpTo() { LargeMemory::keep(12 * kMegabyte); }
};

TEST_CASE("large memory that was given back is what the next one of about its size gets") {
  const KeepsUpTo bound(4 * kMegabyte);
  const Word* const first = LargeMemory::take(kMegabyteWords - 100).get();
  CHECK(LargeMemory::kept_bytes() == kMegabyte);
  const auto second = LargeMemory::take(kMegabyteWords);
  CHECK(second.get() == first);
  CHECK(LargeMemory::kept_bytes() == 0);
  CHECK(LargeMemory::take(kMegabyteWords).get() != first);
}

TEST_CASE("no more memory is kept than the bound and no small pieces") {
  const KeepsUpTo bound(4 * kMegabyte);
  {
    std::vector<LargeMemory::Words> all;
    for (int i = 0; i < 10; ++i) all.push_back(LargeMemory::take(kMegabyteWords));
    all.push_back(LargeMemory::take(8 * kMegabyteWords));
  }
  CHECK(LargeMemory::kept_bytes() == 4 * kMegabyte);
  LargeMemory::release_kept();
  LargeMemory::take(1000);
  CHECK(LargeMemory::kept_bytes() == 0);
  LargeMemory::keep(0);
  LargeMemory::take(kMegabyteWords);
  CHECK(LargeMemory::kept_bytes() == 0);
}

TEST_CASE("memory that was unused between two releases is released and memory that was used is kept") {
  const KeepsUpTo bound(8 * kMegabyte);
  {
    const auto one = LargeMemory::take(kMegabyteWords), other = LargeMemory::take(kMegabyteWords);
    const auto third = LargeMemory::take(kMegabyteWords);
  }
  LargeMemory::release_unused();  // keeps all three, as they were in use
  CHECK(LargeMemory::kept_bytes() == 3 * kMegabyte);
  { const auto one = LargeMemory::take(kMegabyteWords), other = LargeMemory::take(kMegabyteWords); }
  LargeMemory::release_unused();
  CHECK(LargeMemory::kept_bytes() == 2 * kMegabyte);
  LargeMemory::release_unused();
  CHECK(LargeMemory::kept_bytes() == 0);
}

TEST_CASE("memory that a reader gives away keeps its frame and the reader goes on after it") {
  const KeepsUpTo bound(0);
  FrameReader reader;
  OutputBuffer out;
  for (const std::size_t words : {kMegabyteWords, std::size_t{3}, std::size_t{4}}) {
    const auto space = out.begin_frame(words);
    std::fill(space.begin(), space.end(), words);
    out.finish_frame(words);
  }
  // The last frame arrives only in part.
  std::optional<Frame> large;
  while (out.size_bytes() > 8) {
    REQUIRE_FALSE(large);
    const auto space = reader.prepare();
    const std::size_t count = std::min(space.size(), out.size_bytes() - 8);
    std::copy_n(out.data().begin(), count, space.begin());
    reader.commit(count);
    out.consume(count);
    large = *reader.next();
  }
  REQUIRE(large);
  const auto content = large->segments.front();
  const auto memory = reader.take_memory(content.size_bytes());
  REQUIRE(memory);
  const auto small = reader.next();
  REQUIRE(small->has_value());
  CHECK((*small)->segments.front().size() == 3);
  CHECK_FALSE(reader.take_memory(3 * sizeof(Word)));
  REQUIRE_FALSE(reader.next()->has_value());
  const auto space = reader.prepare();
  std::copy_n(out.data().begin(), 8, space.begin());
  reader.commit(8);
  const auto last = reader.next();
  REQUIRE(last->has_value());
  CHECK((*last)->segments.front()[3] == 4);
  CHECK(content.size() == kMegabyteWords);
  CHECK(std::all_of(content.begin(), content.end(), [](Word word) { return word == kMegabyteWords; }));
}

}  // namespace
}  // namespace holdfast::ipc
