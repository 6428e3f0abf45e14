#include "worker/plain/turns.h"

#include <doctest/doctest.h>

#include <string>

namespace holdfast::worker {
namespace {

using namespace std::chrono_literals;

// Takes up to `count` items, charges `time` for each, and returns them in the order in which they were taken.
std::string take(Turns<char>& turns, int count, std::chrono::steady_clock::duration time) {
  std::string taken;
  for (; count > 0 && turns.size() > 0; --count) {
    taken += *turns.take();
    turns.took(time);
  }
  return taken;
}

TEST_CASE("items of one owner come in order and items of several owners round-robin") {
  Turns<char> turns;
  for (const char item : {'a', 'b', 'c'}) turns.push(1, item);
  for (const char item : {'x', 'y'}) turns.push(2, item);
  CHECK(turns.size() == 5);
  CHECK(take(turns, 5, 1ms) == "axbyc");
  CHECK(turns.size() == 0);
  CHECK_FALSE(turns.take());
}

TEST_CASE("the owner that has run for the least time comes first, however many items others have queued") {
  Turns<char> turns;
  for (int i = 0; i < 1000; ++i) turns.push(1, 'a');
  CHECK(take(turns, 1, 900ms) == "a");
  for (int i = 0; i < 9; ++i) turns.push(2, 'b');
  // It starts from the first owner's position: it has saved up nothing.
  CHECK(take(turns, 1, 100ms) == "b");
  CHECK(take(turns, 8, 100ms) == "bbbbbbbb");
  CHECK(take(turns, 2, 1ms) == "aa");
}

TEST_CASE("an owner that queues a new item each time keeps its used time") {
  Turns<char> turns;
  for (int i = 0; i < 100; ++i) turns.push(2, 'b');
  turns.push(1, 'a');
  std::string taken;
  for (int i = 0; i < 12; ++i) {
    const char item = *turns.take();
    taken += item;
    if (item == 'a') turns.push(1, 'a');
    turns.took(item == 'a' ? 10ms : 1ms);
  }
  CHECK(taken == "babbbbbbbbba");
}

TEST_CASE("used time is forgotten once nothing waits") {
  Turns<char> turns;
  turns.push(1, 'a');
  CHECK(take(turns, 1, 1h) == "a");
  turns.push(1, 'a');
  turns.push(2, 'b');
  CHECK(take(turns, 2, 1ms) == "ab");
  turns.push(3, 'c');
  turns.push(3, 'd');
  turns.push(4, 'e');
  CHECK(take(turns, 1, 1ms) == "c");
  turns.took(1h);  // ignored, as no item was taken since
  turns.push(3, 'f');
  CHECK(take(turns, 3, 1ms) == "edf");
}

}  // namespace
}  // namespace holdfast::worker
