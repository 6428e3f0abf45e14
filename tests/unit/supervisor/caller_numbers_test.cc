#include "supervisor/workers/caller_numbers.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "supervisor/workers/call_numbers.h"

namespace holdfast::supervisor {
namespace {

constexpr UserId kUser{7};

constexpr Caller caller(std::uint64_t client, std::uint64_t function = 1, UserId user = kUser) {
  return {user, ClientId{client}, FunctionId{function}};
}
constexpr Caller rest(UserId user, FunctionId function = FunctionId{1}) { return {user, rest_of(user), function}; }

TEST_CASE("callers are numbered from 0 on, and found by their numbers") {
  CallerNumbers numbers;
  CHECK_FALSE(numbers.find(0).has_value());
  CHECK(numbers.number_of(caller(1)) == 0);
  CHECK(numbers.number_of(caller(2)) == 1);
  CHECK(numbers.number_of(caller(2, 5)) == 2);
  CHECK(numbers.number_of(caller(1)) == 0);
  CHECK(numbers.find(0) == caller(1));
  CHECK(numbers.find(1) == caller(2));
  CHECK(numbers.find(2) == caller(2, 5));
  for (const std::uint32_t other : {std::uint32_t{3}, CallerNumbers::kOthers, UINT32_MAX}) {
    CHECK_FALSE(numbers.find(other).has_value());
  }
}

TEST_CASE("a client that calls many functions is one caller for the rest of them") {
  CallerNumbers numbers;
  for (std::uint64_t function = 1; function <= 1000; ++function) numbers.number_of(caller(1, function));
  const std::uint32_t rest = CallerNumbers::kMostFunctions;
  CHECK(numbers.number_of(caller(1, 1)) == 0);
  CHECK(numbers.number_of(caller(1, 999)) == rest);
  CHECK(numbers.find(rest) == caller(1, static_cast<std::uint64_t>(kAnyFunction)));
  CHECK(numbers.number_of(caller(2, 999)) == rest + 1);
}

TEST_CASE("a user has its part of the numbers and its further callers share one and other users are unaffected") {
  CallerNumbers numbers;
  constexpr std::uint32_t kPart = CallerNumbers::kMostOfUser;
  for (std::uint64_t client = 1; client <= 10 * kPart; ++client) {
    REQUIRE(numbers.number_of(caller(client)) == std::min<std::uint64_t>(client - 1, kPart));
  }
  CHECK(numbers.find(kPart) == rest(kUser));
  CHECK(numbers.number_of(caller(3)) == 2);
  for (std::uint64_t function = 2; function < 100; ++function) numbers.number_of(caller(3, function));
  CHECK(numbers.find(numbers.number_of(caller(5, 2))) == rest(kUser, FunctionId{2}));
  CHECK(numbers.find(numbers.number_of(caller(5, 99))) == rest(kUser, kAnyFunction));
  const Caller other = caller(1'000'000, 1, UserId{8});
  CHECK(numbers.find(numbers.number_of(other)) == other);
}

TEST_CASE("when few numbers are left each further user is one caller and callers beyond that are unknown") {
  CallerNumbers numbers;
  std::uint64_t client = 0;
  for (const uid_t user : {1, 2, 3}) {
    for (std::size_t i = 0; i < CallerNumbers::kMostOfUser; ++i) numbers.number_of(caller(++client, 1, UserId{user}));
  }
  // Some callers of the fourth user still get numbers of their own.
  for (std::size_t i = 0; i < 10; ++i) numbers.number_of(caller(++client, 1, UserId{4}));
  for (const uid_t user : {4, 5, 6}) {
    CHECK(numbers.find(numbers.number_of(caller(++client, 1, UserId{user}))) == rest(UserId{user}, kAnyFunction));
  }
  for (uid_t user = 7; user < 900; ++user) {
    for (std::uint64_t function = 1; function < 30; ++function) {
      const auto found = numbers.find(numbers.number_of(caller(++client, function, UserId{user})));
      REQUIRE(found == rest(UserId{user}, kAnyFunction));
    }
  }
  for (uid_t user = 900; user < 2000; ++user) numbers.number_of(caller(++client, 1, UserId{user}));
  CHECK(numbers.number_of(caller(++client, 1, UserId{5000})) == CallerNumbers::kOthers);
  CHECK_FALSE(numbers.find(CallerNumbers::kOthers).has_value());
  CHECK(numbers.number_of(caller(3, 1, UserId{1})) == 2);
}

TEST_CASE("a call's number tells its place and its caller, and leads to the call only as a whole") {
  using Page = ipc::SharedPage;
  CallNumbers calls;
  const std::uint64_t first = calls.add(CallId{100}, 0), second = calls.add(CallId{101}, CallerNumbers::kOthers);
  CHECK(first == 1);
  CHECK(Page::place_of(second) == 2);
  CHECK(Page::caller_of(second) == CallerNumbers::kOthers);
  CHECK_FALSE(Page::is_line_call(second));
  CHECK(calls.find(second) == CallId{101});
  CHECK(calls.find(2) == CallId{});
  CHECK(calls.take(Page::number_of(2, 5)) == CallId{});
  CHECK(calls.take(second) == CallId{101});
  CHECK(calls.sent() == 2);
}

}  // namespace
}  // namespace holdfast::supervisor
