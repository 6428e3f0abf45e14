// The consequences of a call that kills its worker: for its owner, and for no other client.
#include <doctest/doctest.h>
#include <malloc.h>

#include "tests/unit/scheduler/scheduler_bench.h"

namespace holdfast::supervisor::testing {
namespace {

constexpr std::uint64_t kGuilty = 1, kClean = 2;

constexpr WorkerLoss killed_by(std::uint64_t call, Duration time = 100ms) {
  return {.started = 1, .guilty = CallId{call}, .own_fault = true, .time = time};
}

Bench::Arrival from(std::uint64_t client, Duration time = 1h) { return {.time = time, .client = client, .user = 7}; }

// Call 1, of client 1, has killed worker 1; worker 2 is ready.
Bench after_a_kill(SchedulerOptions options) {
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.forked(2);
  bench.loaded(1);
  bench.lost(1, killed_by(1));
  return bench;
}

TEST_CASE("a client that killed a worker is served by another worker than the others") {
  Bench bench = after_a_kill(kTwoWorkers);
  CHECK(bench.arrives(2, 'a', from(kGuilty)) == "load w2 a, call c2 on w2, fork w3");
  CHECK(bench.view(2).is_quarantine);
  bench.forked(3);
  CHECK(bench.arrives(3, 'a', from(kClean)) == "load w3 a, call c3 on w3, fork w4");
  CHECK_FALSE(bench.view(3).is_quarantine);
  CHECK(bench.arrives(4, 'a', from(kGuilty)) == "call c4 on w2");
  CHECK(bench.arrives(5, 'a', from(kClean)) == "call c5 on w3");
  CHECK(bench.module('a').instances == 2);
}

// Worker 1 has answered call 1, of client 1, and has call 2, of client 2; worker 2 is ready.
Bench after_an_answer() {
  Bench bench(kTwoWorkers);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.arrives(2, 'a', from(kClean));
  bench.forked(2);
  bench.loaded(1);
  bench.answered(1);
  return bench;
}

// The callers on the shared page may be merged.
TEST_CASE("an open call that killed its worker makes its own connection guilty, for its own function") {
  for (const Caller& seen :
       {Caller{UserId{7}, ClientId{kGuilty}, kAnyFunction}, Caller{UserId{7}, rest_of(UserId{7}), kAnyFunction},
        Caller{UserId{7}, rest_of(UserId{7}), FunctionId{1}}}) {
    for (const bool is_told : {false, true}) {
      Bench bench(kTwoWorkers);
      bench.started();
      bench.arrives(1, 'a', from(kGuilty));
      bench.forked(2);
      bench.loaded(1);
      WorkerLoss loss = killed_by(1);
      loss.seen_call = CallId{1};
      loss.seen = seen;
      if (is_told) {
        loss.told_call = CallId{1};
        loss.told = seen;
      }
      bench.lost(1, loss);
      CHECK(bench.arrives(2, 'a', from(kGuilty)) == "load w2 a, call c2 on w2, fork w3");
      CHECK(bench.view(2).is_quarantine);
    }
  }
}

TEST_CASE("the client whose leftover work killed a worker is guilty and one with a call there is not") {
  constexpr Caller kLeft{UserId{7}, ClientId{kGuilty}, FunctionId{1}}, kOther{UserId{8}, ClientId{3}, FunctionId{1}};
  Bench bench = after_an_answer();
  WorkerLoss loss{.started = 2, .own_fault = true, .time = 100ms};
  bool is_blamed = true;
  SUBCASE("by the page") { loss.seen = kLeft; }
  SUBCASE("by its fatal report") { loss.told = kLeft; }
  SUBCASE("by both") { loss.seen = loss.told = kLeft; }
  SUBCASE("nobody if one has set off what the other had begun") {
    loss.seen = kOther;
    loss.told = kLeft;
    is_blamed = false;
  }
  SUBCASE("nobody if an open call has set it off") {
    loss.guilty = CallId{2};
    loss.told = kOther;
    is_blamed = false;
  }
  SUBCASE("nobody if the caller is unknown") { is_blamed = false; }
  bench.lost(1, loss);
  CHECK(bench.arrives(4, 'a', from(kGuilty)) == "load w2 a, call c4 on w2, fork w3");
  CHECK(bench.view(2).is_quarantine == is_blamed);
  bench.forked(3);
  bench.arrives(5, 'a', from(kClean));
  CHECK(bench.is_on(5, is_blamed ? 3 : 2));
}

TEST_CASE("two connections of one user are both guilty if one set off what the other had begun") {
  Bench bench = after_an_answer();
  bench.lost(1, {.started = 2,
                 .guilty = CallId{2},
                 .told = Caller{UserId{7}, ClientId{kGuilty}, FunctionId{1}},
                 .own_fault = true,
                 .time = 100ms});
  bench.arrives(3, 'a', from(kGuilty));
  bench.arrives(4, 'a', from(kClean));
  CHECK(bench.view(2).is_quarantine);
  CHECK(bench.is_on(3, 2));
  CHECK(bench.is_on(4, 2));
}

TEST_CASE("both are also guilty if the number of the open call stands for several callers") {
  constexpr Caller kLeft{UserId{7}, ClientId{kGuilty}, FunctionId{1}},
      kRest{UserId{7}, rest_of(UserId{7}), kAnyFunction};
  Bench bench = after_an_answer();
  WorkerLoss loss{.started = 2, .guilty = CallId{2}, .own_fault = true, .time = 100ms};
  SUBCASE("by its fatal report") {
    loss.seen = kLeft;
    loss.told_call = CallId{2};
    loss.told = kRest;
  }
  SUBCASE("by the page") {
    loss.seen_call = CallId{2};
    loss.seen = kRest;
    loss.told = kLeft;
  }
  bench.lost(1, loss);
  bench.arrives(3, 'a', from(kGuilty));
  bench.arrives(4, 'a', from(kClean));
  CHECK(bench.view(2).is_quarantine);
  CHECK(bench.is_on(3, 2));
  CHECK(bench.is_on(4, 2));
}

TEST_CASE("while a worker is stopped for what a call left, its client's calls of the function wait") {
  Bench bench(kTwoWorkers);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.forked(2);
  bench.loaded(1);
  bench.answered(1);
  bench.stopping(1, 0, Caller{UserId{7}, ClientId{kGuilty}, FunctionId{1}});
  CHECK(bench.arrives(2, 'a', from(kClean)) == "load w2 a, call c2 on w2, fork w3");
  CHECK(bench.arrives(3, 'a', from(kGuilty)) == "");
  CHECK(bench.is_queued(3));
}

TEST_CASE("a guilty owner is guilty for one module only") {
  Bench bench = after_a_kill(kTwoWorkers);
  bench.arrives(2, 'b', from(kGuilty));
  CHECK_FALSE(bench.view(2).is_quarantine);
}

TEST_CASE("the calls that wait move with their owner, in their order, and others' stay") {
  SchedulerOptions options = kTwoWorkers;
  options.module.concurrency = 1;
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.arrives(2, 'a', from(kGuilty));
  bench.arrives(3, 'a', from(kClean));
  bench.arrives(4, 'a', from(kGuilty));
  bench.forked(2);
  bench.loaded(1);
  CHECK(bench.lost(1, killed_by(1)) == "ended c1 started, load w2 a, call c3 on w2, fork w3, fork w4");
  CHECK_FALSE(bench.view(2).is_quarantine);
  CHECK(bench.forked(3) == "load w3 a, call c2 on w3");
  CHECK(bench.view(3).is_quarantine);
  CHECK(bench.answered(2) == "call c4 on w3");
}

TEST_CASE(
    "while a worker is stopped for a call, its client's calls of the function wait, and those of other clients do "
    "not") {
  SchedulerOptions options = kTwoWorkers;
  options.module.concurrency = 1;
  Bench bench(options);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.arrives(2, 'a', from(kGuilty));
  bench.arrives(3, 'a', from(kClean));
  bench.forked(2);
  bench.loaded(1);
  CHECK(bench.stopping(1, 1).starts_with("load w2 a, call c3 on w2"));
  bench.loaded(2);
  bench.arrives(4, 'a', from(kGuilty));
  CHECK(bench.answered(3) == "");
  CHECK(bench.module('a').queued == 2);
  SUBCASE("it killed the worker") {
    CHECK(bench.lost(1, killed_by(1)).starts_with("ended c1 started"));
    CHECK_FALSE(bench.view(2).is_quarantine);
    CHECK(bench.view(2).calls_in_flight == 0);
    bench.forked(3);
    CHECK(bench.view(3).is_quarantine);
    CHECK(bench.view(3).calls_in_flight == 1);
  }
  SUBCASE("it was not to blame") { CHECK(bench.lost(1, 1).find("call c2 on w2") != std::string::npos); }
}

TEST_CASE("calls that the lost worker had not begun go to the part of the module where their owners belong") {
  Bench bench(kTwoWorkers);
  bench.started();
  bench.arrives(1, 'a', from(kGuilty));
  bench.arrives(2, 'a', from(kGuilty));
  bench.arrives(3, 'a', from(kClean));
  bench.forked(2);
  bench.loaded(1);
  CHECK(bench.lost(1, killed_by(1)) == "ended c1 started, load w2 a, call c3 on w2, fork w3, fork w4");
  bench.forked(3);
  CHECK(bench.view(3).is_quarantine);
  CHECK(bench.is_on(2, 3));
}

TEST_CASE("kills in a row pause their owner twice as long each time and others are served") {
  Bench bench = after_a_kill(kTwoWorkers);
  Duration pause = 0s;
  std::uint64_t worker = 2;
  for (std::uint64_t call = 2; call <= 5; ++call, ++worker) {
    CAPTURE(call);
    if (pause > 0s) bench.pass(pause);
    bench.tick();
    bench.arrives(call, 'a', from(kGuilty));
    REQUIRE(bench.is_on(call, worker));
    bench.forked(worker + 1);
    bench.loaded(worker);
    bench.lost(worker, killed_by(call));
    // The first two kills cost no pause. Later pauses start at the kill's cost, which is the CPU time and the load
    // time, 0 here, and at 100 ms at least.
    pause = call < 3 ? 0s : 100ms * (1 << (call - 3));
  }
  CHECK(bench.arrives(6, 'a', from(kGuilty)) == "");
  CHECK(bench.is_queued(6));
  CHECK(bench.module('a').paused == 1);
  CHECK(bench.arrives(7, 'a', from(kClean)) == "load w6 a, call c7 on w6, fork w7");
  bench.forked(7);
  CHECK(bench.wakeup_in() == pause);
  CHECK(bench.tick_after(pause) == "load w7 a, call c6 on w7, fork w8");
}

TEST_CASE("a call that kills a worker costs its owner the time of the call and of the start of the next worker") {
  SchedulerOptions options = kTwoWorkers;
  options.module.concurrency = 1;
  options.offences.longest_pause = 0s;
  Bench bench = after_a_kill(options);
  CHECK(bench.arrives(2, 'a', from(kGuilty)) == "load w2 a, call c2 on w2, fork w3");
  bench.loaded(2);
  bench.lost(2, killed_by(2));
  // Both clients, of two users, are guilty now and share the quarantine.
  bench.forked(3);
  bench.arrives(3, 'a', {.client = 3, .user = 8});
  bench.loaded(3);
  bench.lost(3, killed_by(3));
  bench.forked(4);
  CHECK(bench.arrives(10, 'a', from(kGuilty)).starts_with("load w4 a, call c10 on w4"));
  bench.loaded(4);
  bench.arrives(11, 'a', from(kGuilty));
  for (std::uint64_t call = 12; call <= 15; ++call) bench.arrives(call, 'a', {.client = 3, .user = 8});
  bench.lost(4, killed_by(10, 3ms));
  bench.forked(5);
  CHECK(bench.answered(12, 2ms) == "call c13 on w5");
  CHECK(bench.answered(13, 2ms) == "call c11 on w5");
}

TEST_CASE("a call whose deadline is before the end of its pause is refused with the number of kills") {
  SchedulerOptions options = kTwoWorkers;
  options.offences.free_kills = 0;
  Bench bench = after_a_kill(options);
  CHECK(bench.arrives(2, 'a', from(kGuilty, 99ms)) == "refuse c2 owner paused");
  CHECK(bench.arrives(3, 'a', from(kGuilty, 101ms)) == "");
  CHECK(bench.tick_after(100ms) == "load w2 a, call c3 on w2, fork w3");
}

// Bytes that are allocated and not freed. Always the same under the sanitizers, which have a heap of their own.
std::size_t allocated_bytes() {
  const auto heap = ::mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

TEST_CASE("a paused owner that makes and cancels many calls leaves no more memory behind than one call does") {
  SchedulerOptions options = kTwoWorkers;
  options.offences.free_kills = 0;
  Bench bench = after_a_kill(options);
  std::uint64_t last = 1;
  const auto make_and_cancel = [&] {
    return bench.arrives(++last, 'a', from(kGuilty)).empty() && bench.abandon(last) == "queued";
  };
  REQUIRE(make_and_cancel());
  const std::size_t before = allocated_bytes();
  constexpr std::size_t kTimes = 10'000;
  bool all_waited = true;
  for (std::size_t i = 0; i < kTimes; ++i) all_waited = make_and_cancel() && all_waited;
  CHECK(all_waited);
  // Less than a byte for each call.
  CHECK(allocated_bytes() < before + kTimes);
  CHECK(bench.wakeup_in() == Duration(100ms));
}

TEST_CASE("after a kill that delayed others they have the slot for nine times its cost") {
  Bench bench = after_a_kill({.max_workers = 1, .standby = 1});
  bench.arrives(2, 'a', from(kGuilty));
  REQUIRE(bench.is_on(2, 2));
  bench.forked(3);
  bench.loaded(2);
  bench.arrives(3, 'a', from(kGuilty));
  CHECK(bench.arrives(4, 'a', from(kClean)) == "");
  bench.pass(100ms);
  CHECK(bench.lost(2, killed_by(2)) == "ended c2 started, load w3 a, call c4 on w3, fork w4");
  bench.loaded(3);
  bench.forked(4);
  bench.answered(4);
  CHECK(bench.is_queued(3));
  CHECK(bench.wakeup_in() <= Duration(900ms));
  bench.tick_after(899ms);
  CHECK(bench.is_queued(3));
  CHECK(bench.view(3).phase == WorkerPhase::ready);
  bench.tick_after(1ms);
  CHECK(bench.is_on(3, 4));
  CHECK(bench.view(4).is_quarantine);
}

TEST_CASE("answers make an owner clean again") {
  SchedulerOptions options = kTwoWorkers;
  options.offences.healthy_answers = 2;
  options.offences.clean_after = 0;
  Bench bench = after_a_kill(options);
  bench.arrives(2, 'a', from(kGuilty));
  bench.forked(3);
  bench.loaded(2);
  bench.answered(2);
  CHECK(bench.arrives(3, 'a', from(kGuilty)) == "call c3 on w2");
  bench.answered(3);
  CHECK(bench.arrives(4, 'a', from(kGuilty)) == "load w3 a, call c4 on w3, fork w4");
  CHECK_FALSE(bench.view(3).is_quarantine);
}

TEST_CASE("the clean part of a module takes over the claim of its quarantine") {
  Bench bench = after_a_kill({.max_workers = 1, .standby = 1});
  bench.arrives(2, 'b', from(kClean));
  bench.forked(3);
  bench.loaded(2);
  CHECK(bench.arrives(3, 'a', from(kGuilty)) == "");
  CHECK(bench.arrives(4, 'a', from(kClean)) == "");
  bench.answered(2);
  bench.tick_after(200ms);
  CHECK(bench.is_on(4, 3));
  CHECK_FALSE(bench.view(3).is_quarantine);
  CHECK(bench.is_queued(3));
}

// Module a has worker 2 with call 4, and wants another worker for its next call. The only other slot has worker 3 of
// module b, with call 3. Worker 4 is ready.
Bench before_a_further_claim() {
  SchedulerOptions options = kTwoWorkers;
  options.cores = 2;
  options.module.max_instances = 2;
  options.module.concurrency = 1;
  Bench bench = after_a_kill(options);
  bench.arrives(2, 'a', from(kClean));
  bench.forked(3);
  bench.loaded(2);
  bench.arrives(3, 'b', from(kClean));
  bench.forked(4);
  bench.loaded(3);
  bench.arrives(4, 'a', from(kClean));
  bench.answered(2, 10ms);
  return bench;
}

TEST_CASE("a quarantine without a worker takes over what the clean part has claimed for a further one") {
  Bench bench = before_a_further_claim();
  bench.arrives(5, 'a', from(kClean));
  REQUIRE(bench.module('a').claims_slot);
  CHECK(bench.arrives(6, 'a', from(kGuilty)) == "");
  SUBCASE("it is served before the clean part, which claims its further worker again") {
    CHECK(bench.tick_after(200ms) == "drain w3 for a, fork w5");
    CHECK(bench.answered(3) == "kill w3 slice over, load w4 a, call c6 on w4");
    CHECK(bench.view(4).is_quarantine);
    bench.forked(5);
    bench.loaded(4);
    bench.answered(6);
    CHECK(bench.tick_after(200ms) == "kill w4 evicted, load w5 a, call c5 on w5, fork w6");
    CHECK_FALSE(bench.view(5).is_quarantine);
  }
  SUBCASE("once the clean part has no worker, it is served first") {
    CHECK(bench.lost(2) == "load w4 a, call c4 on w4, fork w5");
    CHECK_FALSE(bench.view(4).is_quarantine);
    CHECK(bench.is_queued(6));
  }
  SUBCASE("when its calls have ended, the clean part has the claim again") {
    bench.abandon(6);
    CHECK(bench.answered(3) == "");
    CHECK(bench.tick_after(200ms) == "kill w3 evicted, load w4 a, call c5 on w4, fork w5");
    CHECK_FALSE(bench.view(4).is_quarantine);
  }
}

TEST_CASE("a quarantine without a worker takes over the source that is asked for a further one of the clean part") {
  Bench bench = before_a_further_claim();
  bench.holding_sources();
  REQUIRE(bench.arrives(5, 'a', from(kClean)) == "fetch a");
  CHECK(bench.arrives(6, 'a', from(kGuilty)) == "");
  SUBCASE("it comes") {
    CHECK(bench.source_ready('a') == "");
    CHECK(bench.tick_after(200ms) == "drain w3 for a, fork w5");
    CHECK(bench.answered(3) == "kill w3 slice over, load w4 a, call c6 on w4, fetch a");
    CHECK(bench.view(4).is_quarantine);
  }
  SUBCASE("it is unavailable and ends no call of a clean owner") {
    CHECK(bench.source_failed('a') == "ended c6, fetch a");
    CHECK(bench.is_queued(5));
  }
}

TEST_CASE("a changed source ends the quarantine") {
  Bench bench = after_a_kill(kTwoWorkers);
  bench.source_changed('a');
  bench.arrives(2, 'a', from(kGuilty));
  CHECK_FALSE(bench.view(2).is_quarantine);
}

TEST_CASE("a module whose quarantine has calls or a worker is not forgotten") {
  Bench bench = after_a_kill(kTwoWorkers);
  bench.arrives(2, 'a', from(kGuilty));
  CHECK_FALSE(bench.scheduler().forget(module_id('a')));
  bench.answered(2);
  bench.loaded(2);
  CHECK_FALSE(bench.scheduler().forget(module_id('a')));
  bench.lost(2);
  CHECK(bench.scheduler().forget(module_id('a')));
}

}  // namespace
}  // namespace holdfast::supervisor::testing
