// The error of each call when its worker ends, for each cause.
#include "supervisor/workers/worker_end.h"

#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <string>
#include <vector>

#include "ipc/worker_status.h"

namespace holdfast::supervisor {
namespace {

using ipc::Error;
using ipc::ErrorCode;
using ipc::Executed;
using namespace std::chrono_literals;

const Limits kLimits = {.stretch = 250ms, .memory_bytes = std::uint64_t{64} << 20};

// Statuses as wait(2) returns them.
constexpr int killed_by(int signal) { return signal; }
constexpr int exited_with(int status) { return status << 8; }

WorkerEnd end_by(EndCause cause) {
  WorkerEnd end;
  end.cause = cause;
  end.guilty = CallId{7};
  switch (cause) {
    case EndCause::protocol_violation:
      end.detail = "an answer to call 4711, which it does not have";
      break;
    case EndCause::out_of_memory:
      end.detail = "heap";
      break;
    case EndCause::fatal:
      end.detail = "CALL_AND_RETRY_LAST";
      break;
    case EndCause::sandbox_violation:
      end.detail = "execve";
      break;
    case EndCause::crashed:
      end.wait_status = killed_by(SIGSEGV);
      break;
    default:
      break;
  }
  return end;
}

constexpr EndCause kAllCauses[] = {
    EndCause::cpu_exceeded,      EndCause::deadline_exceeded,
    EndCause::ignored_cancel,    EndCause::protocol_violation,
    EndCause::out_of_memory,     EndCause::fatal,
    EndCause::sandbox_violation, EndCause::crashed,
    EndCause::lock_failed,       EndCause::zygote_died,
    EndCause::gave_way,          EndCause::slot_given_away,
    EndCause::removed,
};

std::string name(EndCause cause) { return "cause " + std::to_string(static_cast<int>(cause)); }

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// --- the call that was at fault ------------------------------------------------------------------------------------

struct Expected {
  EndCause cause;
  ErrorCode code;
  bool retryable;
  std::string detail;
  std::string in_message;
};

TEST_CASE("the error of the call for which its worker ended says why") {
  const std::vector<Expected> all = {
      {EndCause::cpu_exceeded, ErrorCode::cpu_exceeded, false, "", "for more than 250ms without a break"},
      {EndCause::deadline_exceeded, ErrorCode::deadline_exceeded, false, "", "on the CPU"},
      {EndCause::ignored_cancel, ErrorCode::deadline_exceeded, false, "ignored_cancel", "did not give up a call"},
      {EndCause::protocol_violation, ErrorCode::worker_crashed, false, "an answer to call 4711, which it does not have",
       "broke the protocol: an answer to call 4711"},
      {EndCause::out_of_memory, ErrorCode::out_of_memory, false, "heap", "memory limit of 64MB"},
      {EndCause::fatal, ErrorCode::worker_crashed, false, "CALL_AND_RETRY_LAST", "V8 gave up: CALL_AND_RETRY_LAST"},
      {EndCause::sandbox_violation, ErrorCode::sandbox_violation, false, "execve", "the system call execve"},
      {EndCause::crashed, ErrorCode::worker_crashed, true, "SIGSEGV", "died of SIGSEGV"},
      {EndCause::lock_failed, ErrorCode::unavailable, true, "", "could not lock itself down"},
      {EndCause::zygote_died, ErrorCode::worker_crashed, true, "zygote_died", "died with its zygote"},
      {EndCause::gave_way, ErrorCode::unavailable, true, "gave_way", "only a part of a message"},
      {EndCause::slot_given_away, ErrorCode::worker_crashed, true, "slot_given_away",
       "its slot given to another module"},
      {EndCause::removed, ErrorCode::unavailable, true, "", "was removed"},
  };
  REQUIRE(all.size() == std::size(kAllCauses));
  for (const Expected& expected : all) {
    CAPTURE(name(expected.cause));
    const Error error = guilty_error(end_by(expected.cause), kLimits);
    CHECK(error.code == expected.code);
    CHECK(error.retryable == expected.retryable);
    CHECK(error.detail == expected.detail);
    CHECK_MESSAGE(has(error.message, expected.in_message), error.message);
    // The call was started, and it is unknown how far it came.
    CHECK(error.executed == Executed::maybe);
  }
}

TEST_CASE("the errors of exceeded limits name the option that raises the limit") {
  CHECK(has(guilty_error(end_by(EndCause::cpu_exceeded), kLimits).message, "--stretch"));
  CHECK(has(guilty_error(end_by(EndCause::out_of_memory), kLimits).message, "--memory"));
}

TEST_CASE("the stack of the call that was at fault is passed on") {
  for (EndCause cause : {EndCause::cpu_exceeded, EndCause::deadline_exceeded, EndCause::out_of_memory}) {
    WorkerEnd end = end_by(cause);
    end.stack = "    at loop (m.js:1:2)";
    CHECK(guilty_error(end, kLimits).stack == end.stack);
  }
}

TEST_CASE("the error of a stopped call without a stack says why") {
  for (EndCause cause : {EndCause::cpu_exceeded, EndCause::deadline_exceeded}) {
    WorkerEnd end = end_by(cause);
    CHECK(has(guilty_error(end, kLimits).message, "cannot be interrupted, and the process was killed"));
    end.told = true;
    for (const std::string_view where : {ipc::kBetweenMicrotasks, ipc::kWhileEncoding, ipc::kBetweenStretches}) {
      end.detail = where;
      CHECK(has(guilty_error(end, kLimits).message, "(there is no stack: it was stopped " + std::string(where) + ")"));
    }
    // A worker may send any text.
    end.detail = "by magic";
    const std::string message = guilty_error(end, kLimits).message;
    CHECK(has(message, "none of the module's functions was running"));
    CHECK_FALSE(has(message, "magic"));
    CHECK_FALSE(has(message, "killed"));
    end.stack = "    at f (m-v1.js:1:2)";
    CHECK_FALSE(has(guilty_error(end, kLimits).message, "no stack"));
  }
}

TEST_CASE("the error about a worker that died names the signal or exit status") {
  const auto detail = [](int wait_status) {
    WorkerEnd end = end_by(EndCause::crashed);
    end.wait_status = wait_status;
    const Error error = guilty_error(end, kLimits);
    CHECK(has(error.message, error.detail));
    return error.detail;
  };
  CHECK(detail(killed_by(SIGKILL)) == "SIGKILL");
  CHECK(detail(killed_by(SIGABRT) | 0x80) == "SIGABRT");  // with a core dump
  CHECK(detail(killed_by(SIGRTMAX)) == "signal 64");
  CHECK(detail(exited_with(3)) == "exit status 3");
  CHECK(detail(exited_with(0)) == "exit status 0");
}

TEST_CASE("a worker that was sent what the protocol does not allow says what it expected, and V8 is not blamed") {
  WorkerEnd end = end_by(EndCause::fatal);
  end.detail = "expected that a module is loaded before it is called";
  end.wait_status = exited_with(ipc::kProtocolBrokenStatus);
  const Error error = guilty_error(end, kLimits);
  CHECK(error.code == ErrorCode::worker_crashed);
  CHECK_MESSAGE(has(error.message, "was sent what the protocol does not allow: expected that a module"), error.message);
  CHECK_FALSE(has(error.message, "V8"));
}

TEST_CASE("an out of memory without a detail leaves no empty brackets") {
  WorkerEnd end = end_by(EndCause::out_of_memory);
  end.detail.clear();
  const std::string message = guilty_error(end, kLimits).message;
  CHECK_MESSAGE(!has(message, "()"), message);
}

// --- the calls beside it -------------------------------------------------------------------------------------------

TEST_CASE("the error of a call beside the guilty one says that it is not to blame and may be repeated") {
  for (EndCause cause : kAllCauses) {
    CAPTURE(name(cause));
    const Error error = bystander_error(end_by(cause), kLimits, "spin");
    const bool came_from_outside =
        cause == EndCause::removed || cause == EndCause::lock_failed || cause == EndCause::gave_way;
    CHECK(error.code == (came_from_outside ? ErrorCode::unavailable : ErrorCode::worker_crashed));
    CHECK(error.executed == Executed::maybe);
    CHECK(error.retryable);
    CHECK(error.stack.empty());
    CHECK_MESSAGE(has(error.message, "function \"spin\""), error.message);
    CHECK_MESSAGE(has(error.message, "not to blame"), error.message);
  }
}

TEST_CASE("the detail of a call that was ended for another names what that one did") {
  CHECK(bystander_error(end_by(EndCause::cpu_exceeded), kLimits, "spin").detail ==
        "stopped for another call: cpu_exceeded");
  CHECK(bystander_error(end_by(EndCause::out_of_memory), kLimits, "grow").detail ==
        "stopped for another call: out_of_memory");
}

TEST_CASE("where no call is known to be at fault, none is named") {
  const Error error = bystander_error(end_by(EndCause::crashed), kLimits, "");
  CHECK_FALSE(has(error.message, "another call"));
  CHECK(error.detail == "SIGSEGV");
}

TEST_CASE("if a worker is killed for its memory while no call is on the CPU all its calls get out_of_memory") {
  WorkerEnd end = end_by(EndCause::out_of_memory);
  // Code that runs for no call fills V8's heap, so no call is to blame.
  CHECK(bystander_error(end, kLimits, "").code == ErrorCode::worker_crashed);
  end.held_too_much = true;
  CHECK(bystander_error(end, kLimits, "").code == ErrorCode::out_of_memory);
  CHECK(bystander_error(end, kLimits, "grow").code == ErrorCode::worker_crashed);
}

TEST_CASE("a bystander is told the limits too") {
  CHECK(has(bystander_error(end_by(EndCause::cpu_exceeded), kLimits, "spin").message, "250ms"));
  CHECK(has(bystander_error(end_by(EndCause::out_of_memory), kLimits, "grow").message, "64MB"));
}

// --- loading -------------------------------------------------------------------------------------------------------

TEST_CASE("a module whose top level was on the CPU cannot be loaded, unless its worker was ended from outside") {
  for (EndCause cause : kAllCauses) {
    CAPTURE(name(cause));
    WorkerEnd end = end_by(cause);
    CHECK_FALSE(failed_to_load(end));
    end.while_loading = true;
    const bool from_outside = cause == EndCause::zygote_died || cause == EndCause::removed ||
                              cause == EndCause::lock_failed || cause == EndCause::gave_way ||
                              cause == EndCause::slot_given_away;
    CHECK(failed_to_load(end) == !from_outside);
  }
}

TEST_CASE("the calls of a module that cannot be loaded were not executed, and the error says what its top level did") {
  for (EndCause cause : kAllCauses) {
    CAPTURE(name(cause));
    WorkerEnd end = end_by(cause);
    end.while_loading = true;
    end.stack = "    at m.js:1:2";
    if (!failed_to_load(end)) continue;
    const Error error = load_error(end, kLimits);
    CHECK(error.code == ErrorCode::load_failed);
    CHECK(error.executed == Executed::no);
    CHECK_FALSE(error.retryable);
    CHECK(error.stack == end.stack);
    CHECK(error.detail == ipc::to_string(guilty_error(end, kLimits).code));
    CHECK_MESSAGE(has(error.message, "top level"), error.message);
  }
  CHECK(has(load_error(end_by(EndCause::cpu_exceeded), kLimits).message, "250ms"));
  CHECK(has(load_error(end_by(EndCause::out_of_memory), kLimits).message, "64MB"));
}

// --- the log -------------------------------------------------------------------------------------------------------

TEST_CASE("each cause of an end has its own text in the log") {
  std::vector<std::string> seen;
  for (EndCause cause : kAllCauses) {
    const std::string text = describe(end_by(cause), kLimits);
    CHECK(text.starts_with("it "));
    CHECK_MESSAGE(std::find(seen.begin(), seen.end(), text) == seen.end(), text);
    seen.push_back(text);
  }
  CHECK(has(describe(end_by(EndCause::cpu_exceeded), kLimits), "250ms"));
  CHECK(has(describe(end_by(EndCause::out_of_memory), kLimits), "64MB"));
}

}  // namespace
}  // namespace holdfast::supervisor
