#include "supervisor/scheduler/offences.h"

#include <doctest/doctest.h>

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

constexpr OffenceOptions kOffenceOptions = {.free_kills = 1,
                                            .free_kills_of_user = 2,
                                            .guilty_connections = 3,
                                            .answers_between = 4,
                                            .healthy_answers = 10,
                                            .clean_after = 0,
                                            .memory = 1min,
                                            .longest_pause = 10s};
constexpr Offences::TimePoint kNoon{1000s};
constexpr UserId kUser{7}, kOther{8};
constexpr FunctionId kLoop{1}, kAdd{2};

Caller caller(std::uint64_t client, FunctionId function = kLoop, UserId user = kUser) {
  return {user, ClientId{client}, function};
}

void kill(Offences& offences, std::uint64_t client, Offences::Duration cost = 1s, FunctionId function = kLoop) {
  offences.killed(kOffenceOptions, caller(client, function), cost, kNoon);
}

void answer(Offences& offences, std::uint64_t client, int times, FunctionId function = kLoop,
            Offences::TimePoint now = kNoon) {
  for (int i = 0; i < times; ++i) offences.answered(kOffenceOptions, caller(client, function), now);
}

bool is_guilty(const Offences& offences, std::uint64_t client, UserId user = kUser) {
  return offences.is_guilty(kOffenceOptions, caller(client, kLoop, user));
}

Offences::Duration pause(const Offences& offences, std::uint64_t number) {
  const auto until = offences.paused_until(kOffenceOptions, caller(number), kNoon);
  return until ? *until - kNoon : 0s;
}

TEST_CASE("one kill makes only its own connection guilty") {
  Offences offences;
  CHECK_FALSE(is_guilty(offences, 1));
  kill(offences, 1);
  CHECK(is_guilty(offences, 1));
  CHECK_FALSE(is_guilty(offences, 2));
  CHECK_FALSE(is_guilty(offences, 1, kOther));
  CHECK(offences.kills(caller(1)) == 1);
  CHECK(pause(offences, 1) == 0s);
}

TEST_CASE("kills beyond the free ones pause a client for their cost and then twice as long up to the longest pause") {
  Offences offences;
  kill(offences, 1);
  for (const auto expected : {1s, 2s, 4s, 8s, 10s, 10s}) {
    kill(offences, 1);
    CHECK(pause(offences, 1) == expected);
  }
  for (int i = 0; i < 1000; ++i) kill(offences, 1, 100h);
  CHECK(pause(offences, 1) == 10s);
  CHECK(pause(offences, 2) == 0s);
}

TEST_CASE("a few answers between two kills end the row, and fewer do not") {
  Offences offences;
  for (int i = 0; i < 20; ++i) {
    kill(offences, 1);
    CHECK(pause(offences, 1) == 0s);
    answer(offences, 1, 4);
  }
  kill(offences, 1);
  answer(offences, 1, 3);
  kill(offences, 1);
  CHECK(pause(offences, 1) == 1s);
}

TEST_CASE("the more a connection killed the more answers make it clean again") {
  Offences offences;
  kill(offences, 1);
  answer(offences, 1, 9);
  CHECK(is_guilty(offences, 1));
  answer(offences, 1, 1);
  CHECK_FALSE(is_guilty(offences, 1));
  // Earlier kills count, too.
  kill(offences, 1);
  answer(offences, 1, 19);
  CHECK(is_guilty(offences, 1));
  answer(offences, 1, 1);
  CHECK_FALSE(is_guilty(offences, 1));
  kill(offences, 1);
  kill(offences, 1);
  answer(offences, 1, 79);
  CHECK(is_guilty(offences, 1));
  answer(offences, 1, 1);
  CHECK_FALSE(is_guilty(offences, 1));
}

TEST_CASE("a user with several guilty connections makes new connections guilty but not one with good answers") {
  Offences offences;
  kill(offences, 1);
  answer(offences, 100, 10);
  kill(offences, 2);
  CHECK_FALSE(is_guilty(offences, 50));
  kill(offences, 3);
  CHECK(is_guilty(offences, 50));
  CHECK_FALSE(is_guilty(offences, 100));
  CHECK_FALSE(is_guilty(offences, 50, kOther));
  // Earned trust stays.
  answer(offences, 51, 39);
  CHECK(is_guilty(offences, 51));
  answer(offences, 51, 1);
  CHECK_FALSE(is_guilty(offences, 51));
  kill(offences, 4);
  CHECK_FALSE(is_guilty(offences, 51));
}

TEST_CASE("the more a user killed the more answers earn trust so good calls buy no kills") {
  Offences offences;
  for (std::uint64_t client = 1; client <= 3; ++client) kill(offences, client);
  int needed = 40;
  for (std::uint64_t client = 4; client <= 8; ++client, needed *= 2) {
    answer(offences, client, needed - 1);
    CHECK(is_guilty(offences, client));
    answer(offences, client, 1);
    CHECK_FALSE(is_guilty(offences, client));
    kill(offences, client);
  }
}

TEST_CASE("the more trusted connections killed the more answers keep trust so many of them buy no kills") {
  Offences offences;
  for (std::uint64_t client = 1; client <= 3; ++client) kill(offences, client);
  for (std::uint64_t client = 10; client < 30; ++client) answer(offences, client, 40);
  answer(offences, 50, 1000);
  int kills = 0;
  for (std::uint64_t client = 10; client < 30; ++client) {
    if (is_guilty(offences, client)) continue;
    ++kills;
    kill(offences, client);
  }
  CHECK(kills == 3);
  CHECK_FALSE(is_guilty(offences, 50));
  // Trust can be earned again.
  answer(offences, 29, 39);
  CHECK(is_guilty(offences, 29));
  answer(offences, 29, 1);
  CHECK_FALSE(is_guilty(offences, 29));
}

TEST_CASE("connections without kills leave room in the record for those that kill and kills without room count too") {
  Offences offences;
  kill(offences, 1);
  for (std::uint64_t client = 2; client < 10'000; ++client) answer(offences, client, 1);
  kill(offences, 20'000);
  CHECK(is_guilty(offences, 20'000));
  kill(offences, 20'001);
  CHECK(is_guilty(offences, 30'000));  // because its user is guilty

  Offences full;
  for (std::uint64_t client = 1; client < 10'000; ++client) kill(full, client);
  CHECK(is_guilty(full, 20'000));

  Offences of_rest;
  for (int i = 0; i < 3; ++i) {
    CHECK_FALSE(is_guilty(of_rest, 1));
    of_rest.killed(kOffenceOptions, {kUser, rest_of(kUser), kAnyFunction}, 1s, kNoon);
  }
  CHECK(is_guilty(of_rest, 1));
  CHECK_FALSE(is_guilty(of_rest, 1, kOther));
}

TEST_CASE("answers make a client clean only after many times the cost of the kill and twice that after the next kill") {
  OffenceOptions options = kOffenceOptions;
  options.clean_after = 9;
  const auto answer_at = [&](Offences& offences, std::uint64_t client, Offences::Duration after) {
    for (int i = 0; i < 1000; ++i) offences.answered(options, caller(client), kNoon + after);
  };
  const auto is_guilty_now = [&](const Offences& offences, std::uint64_t client) {
    return offences.is_guilty(options, caller(client));
  };
  Offences offences;
  offences.killed(options, caller(1), 1s, kNoon);
  answer_at(offences, 1, 8s);
  CHECK(is_guilty_now(offences, 1));
  answer_at(offences, 1, 9s);
  CHECK_FALSE(is_guilty_now(offences, 1));
  offences.killed(options, caller(1), 1s, kNoon + 10s);
  answer_at(offences, 1, 27s);
  CHECK(is_guilty_now(offences, 1));
  answer_at(offences, 1, 28s);
  CHECK_FALSE(is_guilty_now(offences, 1));
  // Trust takes as long, too, and twice as long after a kill by a trusted connection.
  for (const std::uint64_t client : {2, 3, 4}) offences.killed(options, caller(client), 1s, kNoon + 30s);
  answer_at(offences, 50, 38s);
  CHECK(is_guilty_now(offences, 50));
  answer_at(offences, 50, 39s);
  CHECK_FALSE(is_guilty_now(offences, 50));
  offences.killed(options, caller(50), 1s, kNoon + 40s);
  answer_at(offences, 51, 57s);
  CHECK(is_guilty_now(offences, 51));
  answer_at(offences, 51, 58s);
  CHECK_FALSE(is_guilty_now(offences, 51));
}

TEST_CASE("a connection that kills now and then is one guilty connection, not several") {
  Offences offences;
  for (int i = 0; i < 5; ++i) {
    kill(offences, 1);
    CHECK(is_guilty(offences, 1));
    CHECK_FALSE(is_guilty(offences, 2));
    answer(offences, 1, 10 << i);
    CHECK_FALSE(is_guilty(offences, 1));
  }
}

TEST_CASE("a connection that killed by one function is guilty for that one, and by two for all") {
  Offences offences;
  kill(offences, 1);
  CHECK(is_guilty(offences, 1));
  CHECK_FALSE(offences.is_guilty(kOffenceOptions, caller(1, kAdd)));
  kill(offences, 1);
  CHECK_FALSE(offences.is_guilty(kOffenceOptions, caller(1, kAdd)));
  kill(offences, 1, 1s, FunctionId{3});
  CHECK(offences.is_guilty(kOffenceOptions, caller(1, kAdd)));
}

TEST_CASE("answers of other functions make a connection neither clean nor trusted") {
  Offences offences;
  kill(offences, 1);
  answer(offences, 1, 100, kAdd);
  CHECK(is_guilty(offences, 1));
  answer(offences, 1, 10);
  CHECK_FALSE(is_guilty(offences, 1));
}

TEST_CASE("a user is guilty for what its connections are guilty for") {
  Offences offences;
  for (std::uint64_t client = 1; client <= 3; ++client) kill(offences, client);
  CHECK(is_guilty(offences, 9));
  CHECK_FALSE(offences.is_guilty(kOffenceOptions, caller(9, kAdd)));
  kill(offences, 4, 1s, kAdd);
  CHECK(offences.is_guilty(kOffenceOptions, caller(9, FunctionId{3})));
}

TEST_CASE("new connections are no way around a pause") {
  Offences offences;
  answer(offences, 100, 1000);  // these do not count, as there was no record yet
  for (std::uint64_t number = 1; number <= 3; ++number) kill(offences, number);
  CHECK(pause(offences, 50) == 1s);
  kill(offences, 4);
  CHECK(pause(offences, 50) == 2s);
  for (std::uint64_t number = 5; number <= 20; ++number) kill(offences, number);
  CHECK(pause(offences, 50) == 10s);
  CHECK(offences.kills(caller(50)) == 20);
}

TEST_CASE("a connection that is paused for itself does not pause its user") {
  Offences offences;
  for (int i = 0; i < 20; ++i) kill(offences, 1);
  kill(offences, 2);
  CHECK(pause(offences, 2) == 0s);
  CHECK_FALSE(is_guilty(offences, 3));
}

TEST_CASE("kills older than the memory of the record are forgotten") {
  Offences offences;
  kill(offences, 1);
  CHECK(offences.forget_old(kOffenceOptions, kNoon + 1min).empty());
  CHECK_FALSE(offences.empty());
  CHECK(is_guilty(offences, 1));
  CHECK(offences.forget_old(kOffenceOptions, kNoon + 1min + 1ns) == std::vector{kUser});
  CHECK(offences.empty());
  CHECK_FALSE(is_guilty(offences, 1));
}

TEST_CASE("with a longest pause of zero no client is paused") {
  OffenceOptions options = kOffenceOptions;
  options.longest_pause = 0s;
  Offences offences;
  for (int i = 0; i < 10; ++i) offences.killed(options, caller(1), 1s, kNoon);
  CHECK_FALSE(offences.paused_until(options, caller(1), kNoon).has_value());
  CHECK(offences.is_guilty(options, caller(1)));
}

TEST_CASE("a new connection for each kill with just enough answers is no way around the record") {
  Offences offences;
  for (std::uint64_t client = 1; client <= 5; ++client) {
    kill(offences, client);
    answer(offences, client, 10);
  }
  CHECK(is_guilty(offences, 6));
  CHECK_FALSE(is_guilty(offences, 6, kOther));
}

}  // namespace
}  // namespace holdfast::supervisor
