// Round-robin between users: for waiting requests, lists and statistics, and for the frames of one turn of the event
// loop.
#include "supervisor/shares/user_turns.h"

#include <doctest/doctest.h>

#include <chrono>
#include <string>

#include "supervisor/net/turn.h"
#include "supervisor/shares/view_requests.h"

namespace holdfast::supervisor {
namespace {

constexpr UserId kDora{1}, kEmil{2}, kFritz{3};

std::string order_of(UserTurns<char>& turns) {
  std::string order;
  while (const auto next = turns.take([](UserId) { return true; })) order += next->second;
  return order;
}

TEST_CASE("users are served round-robin and the requests of a user in order") {
  UserTurns<char> turns;
  for (const char waiting : {'a', 'b', 'c', 'd'}) turns.add(kDora, waiting);
  turns.add(kEmil, 'x');
  turns.add(kFritz, '1');
  turns.add(kFritz, '2');
  CHECK(order_of(turns) == "ax1b2cd");
  CHECK(turns.empty());
}

TEST_CASE("a user that comes later waits for one turn of each other, however much they have waiting") {
  UserTurns<char> turns;
  for (int i = 0; i < 1000; ++i) turns.add(kDora, 'a');
  CHECK(turns.take([](UserId) { return true; })->first == kDora);
  turns.add(kEmil, 'x');
  CHECK(turns.take([](UserId) { return true; })->first == kEmil);
}

TEST_CASE("a user that is not ready is skipped and keeps its place") {
  UserTurns<char> turns;
  turns.add(kDora, 'a');
  turns.add(kEmil, 'x');
  CHECK(turns.take([](UserId user) { return user != kDora; })->second == 'x');
  CHECK_FALSE(turns.take([](UserId user) { return user != kDora; }).has_value());
  CHECK(turns.take([](UserId) { return true; })->second == 'a');
}

TEST_CASE("requests of a user that is paused are due later, those of others at once") {
  const auto now = std::chrono::steady_clock::now();
  const auto later = now + std::chrono::seconds(1);
  ViewRequests requests;
  CHECK_FALSE(requests.next_wakeup().has_value());
  requests.add(kDora, {.id = 1});
  requests.pause(kDora, later);
  CHECK(requests.next_wakeup() == later);
  requests.add(kEmil, {.id = 2});
  CHECK(*requests.next_wakeup() <= now);
  CHECK(requests.take(now)->second.id == 2);
  CHECK_FALSE(requests.take(now).has_value());
  CHECK(requests.take(later)->second.id == 1);
  CHECK(requests.empty());
}

// A sender with a given number of frames left, which it handles as a connection does.
class Sender final : public Turn::Participant, public std::enable_shared_from_this<Sender> {
 public:
  Sender(Turn& turn, UserId user, std::size_t frames, std::string& log, char name)
      : turn_(turn), user_(user), left_(frames), log_(log), name_(name) {}
  void at_end_of_turn() override {}
  void handle_more_frames() override {
    log_ += name_;
    for (std::size_t handled = 0; left_ > 0 && handled < Turn::kFramesAtATime; ++handled, --left_) {
      if (!turn_.has_room_for_frame()) break;
      turn_.count_frames(1);
    }
    if (left_ > 0) turn_.wait_for_frames(user_, shared_from_this());
  }

 private:
  Turn& turn_;
  UserId user_;
  std::size_t left_;
  std::string& log_;
  char name_;
};

TEST_CASE("a turn handles so many frames, users in turns, and the next turn goes on") {
  Turn turn;
  std::string log;
  const auto add = [&](UserId user, std::size_t frames, char name) {
    turn.wait_for_frames(user, std::make_shared<Sender>(turn, user, frames, log, name));
  };
  add(kDora, 10 * Turn::kFramesInTurn, 'a');
  add(kDora, 10 * Turn::kFramesInTurn, 'b');
  add(kEmil, Turn::kFramesAtATime, 'x');
  turn.end(true);
  CHECK(log.substr(0, 4) == "axba");
  CHECK(log.size() == Turn::kFramesInTurn / Turn::kFramesAtATime);
  add(kEmil, 1, 'y');
  log.clear();
  turn.end(true);
  CHECK(log.find('y') <= 1);
  while (turn.is_due()) turn.end(true);
  CHECK(turn.has_room_for_frame());
}

}  // namespace
}  // namespace holdfast::supervisor
