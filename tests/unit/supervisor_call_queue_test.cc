#include "supervisor/call_queue.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

constexpr ClientId kFirst{1}, kSecond{2}, kThird{3};

std::vector<int> drain(CallQueue& queue) {
  std::vector<int> order;
  while (!queue.empty()) {
    order.push_back(static_cast<int>(queue.front()));
    queue.pop_front();
  }
  return order;
}

TEST_CASE("each client of a queue has its turn, one call each") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12, 13}) queue.push_back(kFirst, CallId{call});
  for (std::uint64_t call : {21, 22}) queue.push_back(kSecond, CallId{call});
  queue.push_back(kThird, CallId{31});
  CHECK(queue.size() == 6);
  CHECK(drain(queue) == std::vector{11, 21, 31, 12, 22, 13});
  CHECK(queue.size() == 0);
}

TEST_CASE("a client that comes again has its turn after those that wait") {
  CallQueue queue;
  queue.push_back(kFirst, CallId{11});
  queue.push_back(kSecond, CallId{21});
  queue.pop_front();
  queue.push_back(kFirst, CallId{12});
  CHECK(drain(queue) == std::vector{21, 12});
}

TEST_CASE("a call that comes back is the next, before all others of its client") {
  CallQueue queue;
  queue.push_back(kFirst, CallId{11});
  queue.push_back(kSecond, CallId{21});
  queue.push_back(kSecond, CallId{22});
  queue.push_front(kSecond, CallId{20});
  queue.push_front(kThird, CallId{30});
  CHECK(drain(queue) == std::vector{30, 20, 11, 21, 22});
}

TEST_CASE("a call that is taken out leaves the others' turns as they are") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12}) queue.push_back(kFirst, CallId{call});
  for (std::uint64_t call : {21, 22}) queue.push_back(kSecond, CallId{call});
  queue.erase(kFirst, CallId{11});
  CHECK(queue.front() == CallId{12});
  queue.erase(kSecond, CallId{22});
  queue.erase(kSecond, CallId{21});
  CHECK(queue.size() == 1);
  CHECK(drain(queue) == std::vector{12});
}

TEST_CASE("a queue that is emptied gives all that it held, and can be used again") {
  CallQueue queue;
  queue.push_back(kFirst, CallId{11});
  queue.push_back(kSecond, CallId{21});
  queue.push_back(kFirst, CallId{12});
  auto all = queue.take_all();
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector{CallId{11}, CallId{12}, CallId{21}});
  CHECK(queue.empty());
  queue.push_back(kFirst, CallId{13});
  CHECK(drain(queue) == std::vector{13});
}

}  // namespace
}  // namespace holdfast::supervisor
