#include "ipc/call_rules.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

namespace holdfast::ipc {
namespace {

using namespace std::chrono_literals;

CallRequest call(std::string_view function, std::string_view payload) {
  return {.function = function, .payload = as_bytes(payload)};
}

TEST_CASE("a payload may be as large as the limit, and no larger") {
  CHECK_FALSE(payload_problem(0, 10));
  CHECK_FALSE(payload_problem(10, 10));
  const auto problem = payload_problem(11, 10);
  REQUIRE(problem);
  CHECK(problem->code == ErrorCode::payload_too_large);
  CHECK(problem->message == "the payload has 11 bytes; at most 10 are allowed");
  CHECK(problem->executed == Executed::no);
  CHECK_FALSE(problem->retryable);
}

TEST_CASE("a function's name may have 256 bytes, and no more") {
  const std::string longest(256, 'f');
  CHECK_FALSE(size_problem(call(longest, "1"), 1));
  const auto problem = size_problem(call(longest + "f", "1"), 1);
  REQUIRE(problem);
  CHECK(problem->code == ErrorCode::not_found);
  CHECK(problem->message == "the function's name has 257 bytes; at most 256 are allowed");
  CHECK(problem->executed == Executed::no);
}

TEST_CASE("a call with both a long payload and a long name is answered for its payload") {
  const auto problem = size_problem(call(std::string(257, 'f'), "12"), 1);
  REQUIRE(problem);
  CHECK(problem->message == "the payload has 2 bytes; at most 1 are allowed");
}

TEST_CASE("a call has the time that it wants, up to the longest, and the usual time if it wants none") {
  const CallTimeouts timeouts{.usual = 5s, .longest = 60s};
  CHECK(call_time(0ns, timeouts) == 5s);
  CHECK(call_time(1ns, timeouts) == 1ns);
  CHECK(call_time(60s, timeouts) == 60s);
  CHECK(call_time(61s, timeouts) == 60s);
}

TEST_CASE("the usual time of a call is not cut to the longest that calls may ask for") {
  CHECK(call_time(0ns, {.usual = 90s, .longest = 60s}) == 90s);
}

TEST_CASE("errors for calls whose time is over say so first, and whether the function ran") {
  const Error before = overdue(" before its module was loaded");
  CHECK(before.code == ErrorCode::deadline_exceeded);
  CHECK(before.message == "the call's time was over before its module was loaded");
  CHECK(before.executed == Executed::no);
  const Error waiting = overdue_while_waiting();
  CHECK(waiting.code == ErrorCode::deadline_exceeded);
  CHECK(waiting.message == "the call's time was over; its function was not on the CPU but waited for something");
  CHECK(waiting.executed == Executed::maybe);
}

TEST_CASE("the error of a cancelled call says whether the function ran") {
  for (const Executed executed : {Executed::no, Executed::maybe}) {
    const Error error = cancelled_by_client(executed);
    CHECK(error.code == ErrorCode::cancelled);
    CHECK(error.message == "the call was cancelled by its client");
    CHECK(error.executed == executed);
    CHECK_FALSE(error.retryable);
  }
}

TEST_CASE("a violation names the id that is in use") {
  CHECK(id_in_use("call", 7) == "call id 7 is used by a call that is still open");
}

}  // namespace
}  // namespace holdfast::ipc
