// How a worker comes to its end, as this side, the worker and the zygote tell of it.
#include "supervisor/workers/worker_ending.h"

#include <doctest/doctest.h>

#include <csignal>
#include <optional>
#include <string>

#include "ipc/shared_page.h"
#include "ipc/worker_status.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using Phase = WorkerEnding::Phase;

constexpr WorkerEnding::TimePoint kNow{1000s};
constexpr CallId kFirstCall{100};
constexpr CallId kSecondCall{200};
constexpr Caller kFirstCaller{UserId{1}, ClientId{1}, FunctionId{5}};
constexpr Caller kSecondCaller{UserId{2}, ClientId{2}, FunctionId{5}};
constexpr StretchView kFirstRuns{.running = 100, .count = 7};

// As wait(2) has it.
constexpr int exit_status(int status) { return status << 8; }
constexpr int death_by(int signal) { return signal; }

const WorkerEnding::Decision kStopFirst{
    .cause = EndCause::cpu_exceeded, .guilty = kFirstCall, .found = kFirstRuns, .seen_caller = kFirstCaller};

// A loaded worker whose page says that the first call is on the CPU.
WorkerEnding::Remains first_runs() {
  return {.stretch = kFirstRuns, .caller = kFirstCaller, .load = ModuleLoad::Phase::done};
}

// The end of a worker that nobody decided.
WorkerEnd death(int wait_status, const WorkerEnding::Remains& remains = first_runs(),
                std::optional<ipc::StopReason> said = std::nullopt) {
  WorkerEnding ending;
  if (said) ending.said(kFirstCall, {.reason = *said, .call = 1, .stack = "at first", .detail = "its words"});
  ending.hang_up(kNow);
  ending.exited(wait_status);
  REQUIRE(ending.finish(kNow));
  return ending.explain(remains);
}

// --- phases --------------------------------------------------------------------------------------------------------

TEST_CASE("an end is over once, when the worker has hung up and the zygote has said how it ended, in any order") {
  WorkerEnding ending;
  SUBCASE("the worker hangs up first") {
    ending.hang_up(kNow);
    CHECK_FALSE(ending.finish(kNow));
    ending.exited(0);
  }
  SUBCASE("the zygote is first") {
    ending.exited(0);
    CHECK_FALSE(ending.finish(kNow));
    ending.hang_up(kNow);
  }
  CHECK(ending.finish(kNow));
  CHECK(ending.phase() == Phase::over);
  CHECK_FALSE(ending.finish(kNow));
}

TEST_CASE("a zygote that says nothing is waited for, but not for ever") {
  WorkerEnding ending;
  CHECK_FALSE(ending.settle_at().has_value());
  ending.hang_up(kNow);
  REQUIRE(ending.settle_at() == kNow + WorkerEnding::kExitPatience);
  CHECK_FALSE(ending.finish(*ending.settle_at() - 1ns));
  CHECK(ending.finish(*ending.settle_at()));
  CHECK_FALSE(ending.explain(first_runs()).wait_status.has_value());
}

TEST_CASE("a zygote that is gone is not waited for, but what the worker had sent is") {
  WorkerEnding ending;
  ending.orphaned(kNow);
  CHECK_FALSE(ending.finish(kNow));
  ending.hang_up(kNow + 1s);
  CHECK(ending.settle_at() == kNow);
  CHECK(ending.finish(kNow + 1s));
}

TEST_CASE("a phase follows what happens, and hanging up comes after the decision") {
  WorkerEnding ending;
  CHECK(ending.phase() == Phase::none);
  CHECK(ending.decision() == nullptr);
  ending.decide(kStopFirst);
  CHECK(ending.phase() == Phase::decided);
  CHECK_FALSE(ending.has_hung_up());
  ending.hang_up(kNow);
  CHECK(ending.phase() == Phase::hung_up);
  CHECK(ending.has_hung_up());
}

TEST_CASE("a worker that has hung up stays so when its end is decided after that") {
  WorkerEnding ending;
  ending.hang_up(kNow);
  ending.decide({.cause = EndCause::zygote_died, .found = {}});
  CHECK(ending.phase() == Phase::hung_up);
  CHECK(ending.explain(first_runs()).cause == EndCause::zygote_died);
}

// --- decided by this side ------------------------------------------------------------------------------------------

TEST_CASE("the first decision counts") {
  WorkerEnding ending;
  ending.decide(kStopFirst, "first");
  ending.decide({.cause = EndCause::removed, .found = {}}, "second");
  const WorkerEnd end = ending.explain(first_runs());
  CHECK(end.cause == EndCause::cpu_exceeded);
  CHECK(end.guilty == kFirstCall);
  CHECK(end.detail == "first");
}

TEST_CASE("a decision is about the stretch that was found, whatever the page says later") {
  WorkerEnding ending;
  const StretchView later{.running = 200, .count = 8};
  CHECK(ending.stretch_in_question(later).count == later.count);
  ending.decide(kStopFirst);
  CHECK(ending.stretch_in_question(later).count == kFirstRuns.count);
  const WorkerEnd end = ending.explain({.stretch = later, .caller = kSecondCaller});
  CHECK(end.running == kFirstCall);
  CHECK(end.seen_caller == kFirstCaller);
}

TEST_CASE("a stopped worker's report about the stretch that it was stopped for says who is guilty") {
  WorkerEnding ending;
  ending.decide(kStopFirst);
  ending.said(kSecondCall,
              {.reason = ipc::StopReason::soft_stop, .call = 2, .stack = "at second", .detail = "its words"});
  WorkerEnding::Remains remains = first_runs();
  remains.said_caller = kSecondCaller;
  SUBCASE("if it is in that stretch still") {
    const WorkerEnd end = ending.explain(remains);
    CHECK(end.told);
    CHECK(end.guilty == kSecondCall);
    CHECK(end.said == kSecondCall);
    CHECK(end.said_caller == kSecondCaller);
    CHECK(end.stack == "at second");
    CHECK(end.detail == "its words");
  }
  SUBCASE("but not if it has begun another one") {
    ++remains.stretch.count;
    const WorkerEnd end = ending.explain(remains);
    CHECK(end.told);
    CHECK(end.guilty == kFirstCall);
    CHECK(end.said == CallId{});
    CHECK_FALSE(end.said_caller.has_value());
    CHECK(end.stack.empty());
    CHECK(end.detail == ipc::kBetweenStretches);
  }
}

TEST_CASE("a stopped worker that says nothing has not told, and the detail stays the decision's") {
  WorkerEnding ending;
  ending.decide(kStopFirst, "why");
  WorkerEnding::Remains remains = first_runs();
  ++remains.stretch.count;
  const WorkerEnd end = ending.explain(remains);
  CHECK_FALSE(end.told);
  CHECK(end.detail == "why");
}

TEST_CASE("of the decision and the fatal report, the later one has the detail") {
  WorkerEnding ending;
  ending.said(CallId{}, {.reason = ipc::StopReason::fatal, .detail = "its words"});
  SUBCASE("a decision without one leaves the report's") {
    ending.decide(kStopFirst);
    CHECK(ending.explain(first_runs()).detail == "its words");
  }
  SUBCASE("a decision with one replaces it, even by nothing") {
    ending.decide(kStopFirst, "");
    CHECK(ending.explain(first_runs()).detail.empty());
  }
}

TEST_CASE("only a worker that this side ends for its memory held too much") {
  WorkerEnding ending;
  ending.decide({.cause = EndCause::out_of_memory, .found = kFirstRuns});
  CHECK(ending.explain(first_runs()).held_too_much);
  CHECK_FALSE(death(exit_status(1), first_runs(), ipc::StopReason::out_of_memory).held_too_much);
}

// --- ended by itself -----------------------------------------------------------------------------------------------

TEST_CASE("a worker that dies by itself blames what its page says, or what it said itself") {
  const WorkerEnd silent = death(death_by(SIGSEGV));
  CHECK(silent.cause == EndCause::crashed);
  CHECK(silent.guilty == kFirstCall);
  CHECK(silent.seen_caller == kFirstCaller);
  WorkerEnding::Remains remains = first_runs();
  remains.stretch = {.running = 200, .count = 8};
  const WorkerEnd told = death(exit_status(1), remains, ipc::StopReason::fatal);
  CHECK(told.cause == EndCause::fatal);
  CHECK(told.running == kSecondCall);
  CHECK(told.guilty == kFirstCall);
  CHECK(told.stack == "at first");
  CHECK(told.detail == "its words");
}

TEST_CASE("a worker says that it ran out of memory") {
  CHECK(death(exit_status(1), first_runs(), ipc::StopReason::out_of_memory).cause == EndCause::out_of_memory);
}

TEST_CASE("a worker that cannot lock itself down says so by its exit status, before it has a module") {
  WorkerEnding::Remains remains;
  CHECK(death(exit_status(ipc::kLockFailedStatus), remains).cause == EndCause::lock_failed);
  CHECK(death(exit_status(ipc::kLockFailedStatus)).cause == EndCause::crashed);
}

TEST_CASE("a refused system call is believed if the exit status agrees") {
  WorkerEnding::Remains remains = first_runs();
  remains.refused_system_call = 59;  // execve(2) on x86-64
  const WorkerEnd refused = death(exit_status(ipc::kRefusedSystemCallStatus), remains);
  CHECK(refused.cause == EndCause::sandbox_violation);
  CHECK_FALSE(refused.detail.empty());
  CHECK(death(exit_status(0), remains).cause == EndCause::crashed);
  CHECK(death(exit_status(ipc::kRefusedSystemCallStatus)).cause == EndCause::crashed);
}

TEST_CASE("a system call of another architecture kills by SIGSYS") {
  const WorkerEnd end = death(death_by(SIGSYS));
  CHECK(end.cause == EndCause::sandbox_violation);
  CHECK(end.detail == "of another architecture");
}

TEST_CASE("a worker that is killed from outside blames nobody") {
  WorkerEnding::Remains remains = first_runs();
  remains.said_caller = kSecondCaller;
  const WorkerEnd end = death(death_by(SIGKILL), remains);
  CHECK(end.cause == EndCause::crashed);
  CHECK(end.from_outside);
  CHECK(end.guilty == CallId{});
  CHECK(end.running == CallId{});
  CHECK_FALSE(end.seen_caller.has_value());
  CHECK_FALSE(end.said_caller.has_value());
}

TEST_CASE("the kernel kills a worker that has used all of its CPU time, for the call that was on the CPU") {
  WorkerEnding::Remains remains = first_runs();
  remains.is_worn_out = true;
  const WorkerEnd end = death(death_by(SIGKILL), remains);
  CHECK(end.cause == EndCause::worn_out);
  CHECK_FALSE(end.from_outside);
  CHECK(end.guilty == kFirstCall);
  CHECK(death(death_by(SIGSEGV), remains).cause == EndCause::crashed);
}

TEST_CASE("a worker dies while loading if its module is being loaded and the top level is on the CPU") {
  WorkerEnding::Remains remains;
  remains.load = ModuleLoad::Phase::sent;
  CHECK_FALSE(death(death_by(SIGSEGV), remains).while_loading);
  remains.stretch.running = ipc::SharedPage::kLoading;
  CHECK(death(death_by(SIGSEGV), remains).while_loading);
  CHECK_FALSE(death(death_by(SIGKILL), remains).while_loading);
  remains.load = ModuleLoad::Phase::done;
  CHECK_FALSE(death(death_by(SIGSEGV), remains).while_loading);
}

// --- the direct line -----------------------------------------------------------------------------------------------

TEST_CASE("if the guilty call is the line itself, the end says which call on it") {
  WorkerEnding ending;
  ending.decide(kStopFirst);
  WorkerEnding::Remains remains = first_runs();
  remains.line_call = kFirstCall;
  remains.line_started = 9;
  remains.running_on_line = 7;
  SUBCASE("by the page") { CHECK(ending.explain(remains).guilty_on_line == 7); }
  SUBCASE("by the worker's report before that") {
    remains.said_on_line = 8;
    CHECK(ending.explain(remains).guilty_on_line == 8);
  }
  SUBCASE("not by a report about another stretch") {
    remains.said_on_line = 8;
    ++remains.stretch.count;
    CHECK(ending.explain(remains).guilty_on_line == 7);
  }
  SUBCASE("and none if the guilty call is another one") {
    remains.line_call = kSecondCall;
    CHECK(ending.explain(remains).guilty_on_line == 0);
  }
  CHECK(ending.explain(remains).line_started == 9);
}

}  // namespace
}  // namespace holdfast::supervisor
