// Which call gives way in a full queue.
#include "supervisor/shares/crowd.h"

#include <doctest/doctest.h>

#include "supervisor/shares/crowds.h"

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

TEST_CASE("a call that waits counts in its own queue and in all queues together") {
  const Crowds::Queue clean{ModuleId{1}}, quarantine{ModuleId{1}, true}, other{ModuleId{2}};
  Crowds crowds;
  CHECK(crowds.in_all() == nullptr);
  crowds.begin_look();
  for (std::uint64_t call = 1; call <= 3; ++call) crowds.add(clean, kAnna, ClientId{1}, CallId{call});
  crowds.add(quarantine, kBert, ClientId{2}, CallId{4});
  CHECK(crowds.in(other) == nullptr);
  REQUIRE(crowds.in(quarantine) != nullptr);
  CHECK(crowds.in(quarantine)->give_way_to(kCora, ClientId{3}) == CallId{4});
  REQUIRE(crowds.in(clean) != nullptr);
  CHECK(crowds.in(clean)->give_way_to(kCora, ClientId{3}) == CallId{3});
  REQUIRE(crowds.in_all() != nullptr);
  CHECK(crowds.in_all()->give_way_to(kCora, ClientId{3}) == CallId{3});
  crowds.begin_look();
  CHECK(crowds.in_all() == nullptr);
}

TEST_CASE("the longer a look took, the longer it is until the next one") {
  using namespace std::chrono_literals;
  Crowds crowds;
  const Crowds::TimePoint began{1s};
  CHECK(crowds.is_look_due(began));
  crowds.end_look(began, began + 100us);
  CHECK_FALSE(crowds.is_look_due(began + 10ms));
  CHECK(crowds.is_look_due(began + 10ms + 100us));
  crowds.end_look(began, began + 3ms);
  CHECK_FALSE(crowds.is_look_due(began + 62ms));
  CHECK(crowds.is_look_due(began + 63ms));
}

}  // namespace
}  // namespace holdfast::supervisor
