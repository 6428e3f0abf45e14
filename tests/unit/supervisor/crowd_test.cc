// Which call gives way in a full queue.
#include "supervisor/shares/crowd.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

constexpr UserId kAnna{1}, kBert{2}, kCora{3};

// Numbers the calls in the order in which they are added.
struct Queue {
  void add(UserId user, ClientId client, int calls) {
    for (int i = 0; i < calls; ++i) crowd.add(user, client, CallId{++last});
  }
  Crowd crowd;
  std::uint64_t last = 0;
};

TEST_CASE("the last call of the heaviest user's heaviest connection gives way to a user with less") {
  Queue queue;
  queue.add(kAnna, ClientId{1}, 3);
  queue.add(kAnna, ClientId{2}, 5);
  queue.add(kBert, ClientId{3}, 6);
  CHECK(queue.crowd.give_way_to(kCora, ClientId{4}) == CallId{8});
  CHECK(queue.crowd.give_way_to(kCora, ClientId{4}) == CallId{7});
}

TEST_CASE("a user that would have as much as the heaviest is refused whether or not it came first") {
  Queue queue;
  queue.add(kAnna, ClientId{1}, 4);
  queue.add(kBert, ClientId{2}, 3);
  CHECK_FALSE(queue.crowd.give_way_to(kBert, ClientId{2}).has_value());
  CHECK_FALSE(queue.crowd.give_way_to(kAnna, ClientId{1}).has_value());
}

TEST_CASE("among a user's own connections the heaviest gives way, and the heaviest itself is refused") {
  Queue queue;
  queue.add(kAnna, ClientId{1}, 4);
  queue.add(kAnna, ClientId{2}, 1);
  CHECK_FALSE(queue.crowd.give_way_to(kAnna, ClientId{1}).has_value());
  CHECK(queue.crowd.give_way_to(kAnna, ClientId{2}) == CallId{4});
  CHECK(queue.crowd.give_way_to(kAnna, ClientId{3}) == CallId{3});
}

TEST_CASE("no call gives way where no call waits") {
  Queue queue;
  CHECK_FALSE(queue.crowd.give_way_to(kAnna, ClientId{1}).has_value());
  queue.add(kBert, ClientId{2}, 1);
  CHECK_FALSE(queue.crowd.give_way_to(kBert, ClientId{2}).has_value());
}

TEST_CASE("each call that gives way makes room for one until all users have the same number") {
  Queue queue;
  queue.add(kAnna, ClientId{1}, 100);
  int came = 0;
  while (const auto gone = queue.crowd.give_way_to(kBert, ClientId{2})) {
    CHECK(*gone == CallId{100 - static_cast<std::uint64_t>(came)});
    queue.add(kBert, ClientId{2}, 1);
    ++came;
  }
  CHECK(came == 50);
}

}  // namespace
}  // namespace holdfast::supervisor
