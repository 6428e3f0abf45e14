#include "supervisor/scheduler/call_queue.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr ClientId kFirst{1}, kSecond{2}, kThird{3};
constexpr UserId kAnna{7}, kBert{8};
constexpr VirtualTime kQuantum = FairOrder<int>::kQuantum;

bool any_call(CallId) { return true; }

std::vector<int> drain(CallQueue& queue) {
  std::vector<int> order;
  while (queue.is_ready()) {
    order.push_back(static_cast<int>(queue.front()));
    queue.pop_front();
  }
  return order;
}

// Drains the queue at `cost` per call, and puts these calls of this client into it one after the other.
std::vector<int> drain_at(CallQueue& queue, VirtualTime cost, UserId user, ClientId client, std::vector<int> more) {
  std::vector<int> order;
  while (queue.is_ready()) {
    const CallId call = queue.front();
    order.push_back(static_cast<int>(call));
    const bool is_its = static_cast<int>(call) / 10 == static_cast<int>(client);
    if (is_its && !more.empty()) {
      queue.push_back(user, client, CallId{static_cast<std::uint64_t>(more.front())});
      more.erase(more.begin());
    }
    queue.pop_front();
    if (is_its) queue.charge(user, client, cost);
  }
  return order;
}

TEST_CASE("the clients of a queue are served round-robin with one call each") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12, 13}) queue.push_back(kAnna, kFirst, CallId{call});
  for (std::uint64_t call : {21, 22}) queue.push_back(kAnna, kSecond, CallId{call});
  queue.push_back(kAnna, kThird, CallId{31});
  CHECK(queue.size() == 6);
  CHECK(drain(queue) == std::vector{11, 21, 31, 12, 22, 13});
  CHECK(queue.size() == 0);
}

TEST_CASE("users are served round-robin and then their clients so many connections gain nothing") {
  CallQueue queue;
  for (std::uint64_t client = 1; client <= 3; ++client) {
    queue.push_back(kAnna, ClientId{client}, CallId{10 * client + 1});
    queue.push_back(kAnna, ClientId{client}, CallId{10 * client + 2});
  }
  for (std::uint64_t call : {91, 92, 93}) queue.push_back(kBert, ClientId{9}, CallId{call});
  CHECK(drain(queue) == std::vector{11, 91, 21, 92, 31, 93, 12, 22, 32});
}

TEST_CASE("a client that comes again is served after those that wait") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kAnna, kSecond, CallId{21});
  CHECK(queue.front() == CallId{11});
  queue.pop_front();
  queue.push_back(kAnna, kFirst, CallId{12});
  CHECK(drain(queue) == std::vector{21, 12});
}

TEST_CASE("calls that come back are served before all others") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.push_back(kAnna, kSecond, CallId{22});
  queue.push_front(kAnna, kSecond, CallId{20}, CallQueue::Before::all);
  queue.push_front(kBert, kThird, CallId{30}, CallQueue::Before::all);
  CHECK(drain(queue) == std::vector{20, 30, 11, 21, 22});
}

TEST_CASE("a call that comes back to the front of its client does not go before other clients") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.push_front(kAnna, kSecond, CallId{20}, CallQueue::Before::own);
  CHECK(drain(queue) == std::vector{11, 20, 21});
}

TEST_CASE("a call that goes before all others still costs its client and delays no other client in the order") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kBert, kSecond, CallId{21});
  CHECK(queue.front() == CallId{11});
  queue.pop_front();
  queue.charge(kAnna, kFirst, 5 * kQuantum);
  queue.push_front(kAnna, kFirst, CallId{12}, CallQueue::Before::all);
  queue.push_back(kAnna, kFirst, CallId{13});
  CHECK(drain_at(queue, kQuantum, kBert, kSecond, {22, 23, 24, 25, 26}) == std::vector{12, 21, 22, 23, 24, 25, 13, 26});
}

TEST_CASE("removing a call does not change the order of the others") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12}) queue.push_back(kAnna, kFirst, CallId{call});
  for (std::uint64_t call : {21, 22}) queue.push_back(kAnna, kSecond, CallId{call});
  queue.erase(kFirst, CallId{11});
  CHECK(queue.front() == CallId{12});
  queue.erase(kSecond, CallId{22});
  queue.erase(kSecond, CallId{21});
  CHECK(queue.size() == 1);
  CHECK(drain(queue) == std::vector{12});
}

TEST_CASE("a queue that is emptied gives all that it held, and can be used again") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.push_back(kAnna, kFirst, CallId{12});
  queue.pause(kSecond);
  auto all = queue.take_all();
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector{CallId{11}, CallId{12}, CallId{21}});
  CHECK(queue.empty());
  queue.push_back(kAnna, kFirst, CallId{13});
  CHECK(drain(queue) == std::vector{13});
}

TEST_CASE("a paused client is not served until it is resumed and then comes last") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.pause(kFirst);
  queue.push_back(kAnna, kFirst, CallId{12});
  CHECK(queue.is_paused(kFirst));
  CHECK(queue.paused_calls() == 2);
  CHECK(drain(queue) == std::vector{21});
  CHECK_FALSE(queue.is_ready());
  CHECK(queue.size() == 2);
  queue.push_back(kAnna, kSecond, CallId{22});
  queue.resume(kFirst);
  CHECK(drain(queue) == std::vector{22, 11, 12});
}

TEST_CASE("calls of a client are removed in their order whether it is paused or not") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12}) queue.push_back(kAnna, kFirst, CallId{call});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.pause(kFirst);
  CHECK(queue.take(kFirst, any_call) == std::deque{CallId{11}, CallId{12}});
  CHECK(queue.take(kFirst, any_call).empty());
  CHECK_FALSE(queue.contains(kFirst));
  CHECK(drain(queue) == std::vector{21});
}

TEST_CASE("a client whose calls cost more is served less often") {
  CallQueue queue;
  for (std::uint64_t call : {11, 12, 13}) queue.push_back(kAnna, kFirst, CallId{call});
  queue.push_back(kAnna, kSecond, CallId{21});
  CHECK(queue.front() == CallId{11});
  queue.pop_front();
  queue.charge(kAnna, kFirst, 3 * kQuantum);
  CHECK(drain_at(queue, kQuantum, kAnna, kSecond, {22, 23, 24, 25}) == std::vector{21, 22, 23, 12, 24, 13, 25});
}

TEST_CASE("the use of a client counts for its user and is remembered while others wait") {
  CallQueue queue;
  queue.push_back(kAnna, kFirst, CallId{11});
  queue.push_back(kBert, kSecond, CallId{21});
  CHECK(queue.front() == CallId{11});
  queue.pop_front();
  queue.charge(kAnna, kFirst, 2 * kQuantum);
  queue.push_back(kAnna, kThird, CallId{31});
  CHECK(drain_at(queue, kQuantum, kBert, kSecond, {22, 23, 24}) == std::vector{21, 22, 31, 23, 24});
}

TEST_CASE("use is not remembered where no other client waits") {
  CallQueue queue;
  queue.charge(kAnna, kFirst, 1h);
  for (std::uint64_t call : {11, 12}) queue.push_back(kAnna, kFirst, CallId{call});
  queue.charge(kAnna, kFirst, 1h);
  CHECK(queue.front() == CallId{11});
  queue.pop_front();
  CHECK(drain(queue) == std::vector{12});
  queue.push_back(kAnna, kFirst, CallId{13});
  queue.push_back(kAnna, kSecond, CallId{21});
  CHECK(drain(queue) == std::vector{13, 21});
}

// Clients always have calls, of all costs. In the long run all users get the same CPU time, and so do the clients of a
// user.
TEST_CASE("users and then their clients that always wait get equal CPU shares whatever their calls cost") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    CallQueue queue;
    struct Client {
      UserId user;
      VirtualTime cost;
      VirtualTime got{};
    };
    std::vector<Client> clients;
    const std::size_t users = 1 + random() % 3;
    std::map<UserId, std::size_t> clients_of;
    for (std::size_t i = 0; i < users + random() % 5; ++i) {
      const UserId user{static_cast<uid_t>(i % users)};
      // From a fiftieth of a quantum to twenty quanta: 4 s are many calls of each client, and at most 200,000 in all.
      clients.push_back({user, std::chrono::microseconds(20 + random() % (random() % 2 == 0 ? 100 : 20'000))});
      ++clients_of[user];
    }
    std::uint64_t last_call = 0;
    std::map<CallId, std::size_t> calls;
    const auto push = [&](std::size_t client) {
      calls[CallId{++last_call}] = client;
      queue.push_back(clients[client].user, ClientId{client + 1}, CallId{last_call});
    };
    for (std::size_t client = 0; client < clients.size(); ++client) {
      push(client);
      push(client);
    }
    VirtualTime time{};
    while (time < 4s) {
      const CallId call = queue.front();
      queue.pop_front();
      const std::size_t client = calls.at(call);
      calls.erase(call);
      time += clients[client].cost;
      clients[client].got += clients[client].cost;
      queue.charge(clients[client].user, ClientId{client + 1}, clients[client].cost);
      push(client);
    }
    for (const Client& client : clients) {
      const auto due = time / static_cast<long>(users * clients_of[client.user]);
      CHECK(client.got > due * 8 / 10);
      CHECK(client.got < due * 12 / 10);
    }
  }
}

TEST_CASE("removing some calls of a client keeps the order of the others and of those that go first") {
  CallQueue queue;
  for (std::uint64_t call : {13, 14, 15}) queue.push_back(kAnna, kFirst, CallId{call});
  queue.push_back(kAnna, kSecond, CallId{21});
  queue.push_front(kAnna, kFirst, CallId{12}, CallQueue::Before::all);
  queue.push_front(kAnna, kFirst, CallId{11}, CallQueue::Before::all);
  const auto is_odd = [](CallId call) { return static_cast<int>(call) % 2 == 1; };
  CHECK(queue.take(kFirst, is_odd) == std::deque{CallId{11}, CallId{13}, CallId{15}});
  CHECK(queue.clients_of(kAnna).size() == 2);
  CHECK(queue.clients_of(kBert).empty());
  CHECK(queue.size() == 3);
  CHECK(drain(queue) == std::vector{12, 21, 14});
}

// Runs all operations in random order beside a plain model of what waits.
TEST_CASE("each call that is put into a queue comes out once whatever is done to the queue") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    CallQueue queue;
    std::map<CallId, ClientId> waits;
    std::set<ClientId> paused;
    std::uint64_t last_call = 0;
    const auto user_of = [](ClientId client) { return UserId{static_cast<uid_t>(client) % 3}; };
    const auto forget_pauses = [&] { std::erase_if(paused, [&](ClientId client) { return !queue.contains(client); }); };
    for (int step = 0; step < 500; ++step) {
      const ClientId client{1 + random() % 7};
      switch (random() % 10) {
        case 0:
        case 1:
        case 2:
          queue.push_back(user_of(client), client, CallId{++last_call});
          waits.emplace(CallId{last_call}, client);
          break;
        case 3:
          queue.push_front(user_of(client), client, CallId{++last_call},
                           random() % 2 == 0 ? CallQueue::Before::all : CallQueue::Before::own);
          waits.emplace(CallId{last_call}, client);
          break;
        case 4:
          queue.charge(user_of(client), client, std::chrono::microseconds(random() % 50'000));
          break;
        case 5:
          if (queue.contains(client)) {
            queue.pause(client);
            paused.insert(client);
          }
          break;
        case 6:
          queue.resume(client);
          paused.erase(client);
          break;
        case 7: {
          if (waits.empty()) break;
          const auto chosen = std::next(waits.begin(), static_cast<long>(random() % waits.size()));
          queue.erase(chosen->second, chosen->first);
          waits.erase(chosen);
          forget_pauses();
          break;
        }
        case 8: {
          if (random() % 4 != 0) break;
          const auto is_taken = [odd = random() % 2](CallId call) {
            return static_cast<std::uint64_t>(call) % 2 == odd;
          };
          for (const CallId call : queue.take(client, is_taken)) CHECK(waits.erase(call) == 1);
          forget_pauses();
          break;
        }
        default:
          if (!queue.is_ready()) break;
          const CallId call = queue.front();
          REQUIRE(waits.contains(call));
          CHECK_FALSE(paused.contains(waits.at(call)));
          waits.erase(call);
          queue.pop_front();
          forget_pauses();
      }
      REQUIRE(queue.size() == waits.size());
      REQUIRE(queue.is_ready() ==
              std::ranges::any_of(waits, [&](const auto& entry) { return !paused.contains(entry.second); }));
    }
    CHECK(queue.take_all().size() == waits.size());
    CHECK(queue.empty());
  }
}

}  // namespace
}  // namespace holdfast::supervisor
