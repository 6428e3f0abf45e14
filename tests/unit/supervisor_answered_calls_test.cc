#include "supervisor/answered_calls.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

constexpr Caller caller(std::uint64_t client, std::uint32_t function = 1) {
  return {UserId{7}, ClientId{client}, FunctionId{function}};
}

TEST_CASE("the caller of an answered call is known by the call's number") {
  AnsweredCalls answered;
  answered.add(1, caller(1));
  answered.add(4, caller(2));
  answered.add(3, caller(2, 5));
  CHECK(answered.find(1) == caller(1));
  CHECK(answered.find(4) == caller(2));
  CHECK(answered.find(3) == caller(2, 5));
  for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{5}, UINT64_MAX}) {
    CHECK_FALSE(answered.find(other).has_value());
  }
}

TEST_CASE("any number of calls in a row of one caller leaves the others known") {
  AnsweredCalls answered;
  answered.add(1, caller(1));
  for (std::uint64_t number = 2; number <= 100'000; ++number) answered.add(number, caller(2));
  CHECK(answered.find(1) == caller(1));
  CHECK(answered.find(2) == caller(2));
  CHECK(answered.find(100'000) == caller(2));
}

TEST_CASE("of callers that take turns the last ones are known") {
  constexpr std::uint64_t kCalls = 3 * AnsweredCalls::kMostEntries + 10;
  AnsweredCalls answered;
  for (std::uint64_t number = 1; number <= kCalls; ++number) answered.add(number, caller(number % 2));
  constexpr std::uint64_t kFirstKnown = kCalls - AnsweredCalls::kMostEntries + 1;
  CHECK_FALSE(answered.find(kFirstKnown - 1).has_value());
  for (std::uint64_t number = kFirstKnown; number <= kCalls; ++number) {
    CHECK(answered.find(number) == caller(number % 2));
  }
}

}  // namespace
}  // namespace holdfast::supervisor
