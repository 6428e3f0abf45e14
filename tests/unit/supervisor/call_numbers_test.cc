#include "supervisor/workers/call_numbers.h"

#include <doctest/doctest.h>

#include <limits>

namespace holdfast::supervisor {
namespace {

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();

// The numbers of calls 100, 250, 251 and 900, sent in this order.
CallNumbers four_calls() {
  CallNumbers numbers;
  for (const std::uint64_t id : {100, 250, 251, 900}) numbers.add(CallId{id});
  return numbers;
}

TEST_CASE("a worker's calls are numbered from 1 on, whatever their ids are") {
  CallNumbers numbers;
  CHECK(numbers.add(CallId{4711}) == 1);
  CHECK(numbers.add(CallId{4712}) == 2);
  CHECK(numbers.take(1) == CallId{4711});
  CHECK(numbers.take(2) == CallId{4712});
  CHECK(numbers.add(CallId{1'000'000}) == 3);
}

TEST_CASE("a number leads to its call and back for as long as the call is on the worker") {
  CallNumbers numbers = four_calls();
  CHECK(numbers.find(2) == CallId{250});
  CHECK(numbers.number_of(CallId{250}) == 2);
  CHECK(numbers.take(2) == CallId{250});
  CHECK(numbers.find(2) == CallId{});
  CHECK(numbers.number_of(CallId{250}) == 0);
  CHECK(numbers.find(3) == CallId{251});
}

TEST_CASE("a number that no call on the worker has leads to no call") {
  CallNumbers numbers = four_calls();
  for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{5}, std::uint64_t{100}, kMost}) {
    CAPTURE(number);
    CHECK(numbers.find(number) == CallId{});
    CHECK(numbers.take(number) == CallId{});
  }
  CHECK(numbers.take(4) == CallId{900});
  CHECK(numbers.take(4) == CallId{});
  CHECK(numbers.number_of(CallId{101}) == 0);
}

TEST_CASE("calls may be sent in any order of their ids, and again") {
  CallNumbers numbers = four_calls();
  CHECK(numbers.add(CallId{7}) == 5);
  CHECK(numbers.number_of(CallId{7}) == 5);
  CHECK(numbers.take(1) == CallId{100});
  CHECK(numbers.add(CallId{100}) == 6);
  CHECK(numbers.find(6) == CallId{100});
  CHECK(numbers.sent() == 6);
}

TEST_CASE("a range of calls can be dropped, and their numbers are not given again") {
  CallNumbers calls;
  for (std::uint64_t id = 11; id <= 14; ++id) calls.add(CallId{id});
  calls.take(1);
  calls.drop(2, 3);
  CHECK(calls.find(2) == CallId{12});
  CHECK(calls.find(3) == CallId{});
  CHECK(calls.find(4) == CallId{14});
  calls.drop(3, 4);
  CHECK(calls.number_of(CallId{14}) == 0);
  CHECK(calls.sent() == 4);
  CHECK(calls.add(CallId{13}) == 5);
  calls.drop(0, 5);
  CHECK(calls.find(2) == CallId{});
  CHECK(calls.find(5) == CallId{});
}

}  // namespace
}  // namespace holdfast::supervisor
