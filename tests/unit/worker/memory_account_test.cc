#include "worker/plain/memory_account.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace holdfast::worker {
namespace {

using Refusal = MemoryAccount::Refusal;

TEST_CASE(
    "pages count once, however often and in whatever pieces they are taken, and no more once they are given back") {
  MemoryAccount account;
  account.take_pages(100, 200);
  account.take_pages(100, 200);
  account.take_pages(150, 180);
  CHECK(account.used() == 100);
  account.take_pages(50, 120);
  CHECK(account.used() == 150);
  account.take_pages(200, 210);
  CHECK(account.used() == 160);
  CHECK(account.has_pages(50, 210));
  CHECK_FALSE(account.has_pages(50, 211));
  account.give_back_pages(120, 130);
  CHECK(account.used() == 150);
  CHECK_FALSE(account.has_pages(100, 200));
  CHECK(account.has_pages(130, 210));
  account.give_back_pages(0, 1000);
  account.give_back_pages(0, 1000);
  CHECK(account.used() == 0);
}

TEST_CASE("pages are accounted for as by a map of single pages") {
  constexpr std::uintptr_t kPages = 64;
  std::mt19937 random(7);
  MemoryAccount account;
  std::vector<bool> taken(kPages);
  for (int i = 0; i < 20'000; ++i) {
    std::uintptr_t begin = random() % kPages, end = random() % (kPages + 1);
    if (begin > end) std::swap(begin, end);
    const bool take = random() % 2 == 0;
    if (take) {
      account.take_pages(begin, end);
    } else {
      account.give_back_pages(begin, end);
    }
    for (std::uintptr_t page = begin; page < end; ++page) taken[page] = take;
    const std::uintptr_t from = random() % kPages, to = from + random() % (kPages - from + 1);
    std::uint64_t used = 0, inside = 0;
    for (std::uintptr_t page = 0; page < kPages; ++page) {
      used += taken[page];
      inside += taken[page] && page >= from && page < to;
    }
    REQUIRE(account.used() == used);
    REQUIRE(account.has_pages(from, to) == (inside == to - from));
  }
}

TEST_CASE("no request gets more than the limit and the reserve is for requests that cannot be refused") {
  MemoryAccount account;
  account.set_limit(1000, 100);
  CHECK(account.take(900));
  CHECK_FALSE(account.take(1));
  CHECK_FALSE(account.has_room_for_pages(0, 1, Refusal::expected));
  CHECK(account.has_room_for_pages(0, 100, Refusal::fatal));
  CHECK_FALSE(account.has_room_for_pages(0, 101, Refusal::fatal));
  account.take_pages(0, 100);
  CHECK(account.used() == 1000);
  CHECK(account.has_room_for_pages(0, 100, Refusal::fatal));  // the pages are accounted for already
  CHECK_FALSE(account.has_room_for_pages(50, 101, Refusal::fatal));
  account.give_back(900);
  CHECK(account.has_room_for(800, Refusal::expected));
  CHECK_FALSE(account.has_room_for(801, Refusal::expected));
}

TEST_CASE("an absurdly large size is refused") {
  MemoryAccount account;
  CHECK(account.take(1));
  CHECK_FALSE(account.take(UINT64_MAX));
  account.set_limit(10, 20);
  CHECK_FALSE(account.take(1));
  CHECK_FALSE(account.has_room_for(UINT64_MAX, Refusal::fatal));
}

}  // namespace
}  // namespace holdfast::worker
