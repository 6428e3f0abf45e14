// What modules log: who may read it, and who is told of lines that are dropped. The clients are real sessions.
#include "supervisor/module_logs.h"

#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <sstream>

#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor::testing {
namespace {

using namespace std::chrono_literals;
using News = std::vector<std::string>;
using Ruling = ModuleLogs::Ruling;

// What is logged while it lives, a line for each entry: the level, then the text.
class CapturedLog {
 public:
  CapturedLog() {
    auto logger = std::make_shared<spdlog::logger>("captured", std::make_shared<spdlog::sinks::ostream_sink_st>(text_));
    logger->set_level(spdlog::level::debug);
    logger->set_pattern("%l %v");
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(former_); }
  CapturedLog(const CapturedLog&) = delete;
  CapturedLog& operator=(const CapturedLog&) = delete;

  std::string text() const { return text_.str(); }

 private:
  std::shared_ptr<spdlog::logger> former_ = spdlog::default_logger();
  std::ostringstream text_;
};

struct Logs : SessionFixture {
  explicit Logs(uid_t reader = ::geteuid()) : logs(only_user(reader), turn, modules) { greet(); }

  ClientSession& reader() { return *owner.session; }
  void subscribe(std::uint64_t id, bool follow, std::uint32_t backlog = 10) {
    logs.subscribe(reader(), {.id = id, .backlog = backlog, .follow = follow});
  }
  News news() {
    settle();
    return client.news();
  }
  Ruling log(std::string_view text, std::optional<CallReader> call = std::nullopt, std::uint64_t dropped = 0) {
    const ipc::LogLine line{.text = text, .dropped = dropped};
    const Ruling ruling = logs.rule_on(module, line, call, now);
    if (ruling == Ruling::accepted) logs.publish(module, line, "", call);
    return ruling;
  }
  // Uses the module's budget up.
  void spend_budget() {
    while (logs.rule_on(module, {.text = "x"}, std::nullopt, now) == Ruling::accepted) {
    }
    module.log_budget.take_dropped();
  }

  // Room for three short lines at once, and for no more within a test's time.
  static constexpr ModuleSettings kNarrow{.log_rate_bytes = 1, .log_burst_bytes = 3 * (LogBudget::kLineBytes + 8)};

  Modules modules;
  KnownModule& module = modules.add({"m", "v1"}, KnownModule::Origin::directory, kNarrow);
  ModuleLogs logs;
  ModuleLogs::TimePoint now{1h};
};

struct LogsOfOthers : Logs {
  LogsOfOthers() : Logs(::geteuid() + 1) {}
};

// --- who reads -----------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(LogsOfOthers, "a client whose user is not listed is shown no lines, old or new") {
  log("before");
  subscribe(5, true);
  log("after");
  CHECK(news() == News{"logs 5 refused"});
  CHECK_FALSE(logs.may_be_read_by(reader()));
  const auto refusal = logs.refusal_for(reader());
  REQUIRE(refusal.has_value());
  CHECK(refusal->code == ipc::ErrorCode::permission_denied);
  CHECK(refusal->message == "this user may not read modules' logs; the supervisor's --allow-logs must list it");
}

TEST_CASE_FIXTURE(LogsOfOthers, "only a client's first refusal is a warning, until it leaves") {
  const CapturedLog captured;
  subscribe(1, false);
  subscribe(2, false);
  const std::string refusal =
      fmt::format("client 7 (test): may not read modules' logs: user {} is not listed in --allow-logs\n", ::geteuid());
  CHECK(captured.text() == "warning " + refusal + "debug " + refusal);
  logs.client_left(reader());
  subscribe(3, false);
  CHECK(captured.text() == "warning " + refusal + "debug " + refusal + "warning " + refusal);
}

TEST_CASE_FIXTURE(Logs, "a client whose user is listed is shown the last lines, and further ones if it follows") {
  CHECK(logs.may_be_read_by(reader()));
  CHECK_FALSE(logs.refusal_for(reader()).has_value());
  log("1");
  log("2");
  subscribe(5, true, 1);
  subscribe(6, false, 10);
  log("3");
  CHECK(news() == News{"line 5 2", "logs 5 subscribed", "line 6 1", "line 6 2", "logs 6 subscribed", "line 5 3"});
}

TEST_CASE_FIXTURE(Logs, "nothing is shown to a client that has left, and to none when readers are forgotten") {
  subscribe(5, true);
  SUBCASE("left") { logs.client_left(reader()); }
  SUBCASE("forgotten") { logs.forget_readers(); }
  CHECK(log("unread") == Ruling::accepted);
  CHECK(news() == News{"logs 5 subscribed"});
}

// --- dropped lines -------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Logs, "lines beyond the budget are dropped, and readers are told how many, once, a while later") {
  subscribe(5, true);
  for (int i = 0; i < 3; ++i) CHECK(log("line") == Ruling::accepted);
  CHECK_FALSE(logs.next_wakeup().has_value());
  CHECK(log("line") == Ruling::dropped);
  CHECK(log("line") == Ruling::dropped);
  CHECK(news() == News{"logs 5 subscribed", "line 5 line", "line 5 line", "line 5 line"});
  REQUIRE(logs.next_wakeup() == now + ModuleLogs::kDroppedPause);
  logs.tick(now + ModuleLogs::kDroppedPause - 1ns);
  CHECK(news().empty());
  logs.tick(now + ModuleLogs::kDroppedPause);
  CHECK(news() == News{"line 5 2 log lines dropped: the module logs more than 1B/s"});
  CHECK_FALSE(logs.next_wakeup().has_value());
  logs.tick(now + 1h);
  CHECK(news().empty());
  CHECK(log("line") == Ruling::dropped);
  REQUIRE(logs.next_wakeup() == now + ModuleLogs::kDroppedPause);
  logs.tick(now + 1h);
  CHECK(news() == News{"line 5 1 log line dropped: the module logs more than 1B/s"});
}

TEST_CASE_FIXTURE(Logs, "the note about dropped lines is among the last lines") {
  spend_budget();
  CHECK(log("line") == Ruling::dropped);
  logs.tick(now + 1h);
  subscribe(5, false);
  CHECK(news() == News{"line 5 1 log line dropped: the module logs more than 1B/s", "logs 5 subscribed"});
}

TEST_CASE_FIXTURE(Logs, "lines that the worker reports as dropped count, and the line that reports them is shown") {
  subscribe(5, true);
  CHECK(log("", std::nullopt, 4) == Ruling::dropped);
  CHECK(log("next", std::nullopt, 3) == Ruling::accepted);
  CHECK(news() == News{"logs 5 subscribed", "line 5 next"});
  logs.tick(now + 1h);
  CHECK(news() == News{"line 5 7 log lines dropped: the module logs more than 1B/s"});
}

TEST_CASE_FIXTURE(Logs, "no number of dropped lines that a worker reports makes the sum overflow") {
  std::uint64_t dropped_of_call = 0;
  const CallReader call{reader(), 1, dropped_of_call};
  for (int i = 0; i < 3; ++i) log("", call, ~std::uint64_t{0});
  CHECK(dropped_of_call == 2 * LogBudget::kMostBelieved);
  CHECK(module.log_budget.take_dropped() == LogBudget::kMostBelieved);
}

TEST_CASE_FIXTURE(Logs, "dropped lines of a worker that ended are told at once, and not again") {
  subscribe(5, true);
  spend_budget();
  CHECK(log("line") == Ruling::dropped);
  news();
  logs.tell_of_dropped(module);
  CHECK(news() == News{"line 5 1 log line dropped: the module logs more than 1B/s"});
  logs.tick(now + 1h);
  CHECK(news().empty());
}

TEST_CASE_FIXTURE(Logs, "dropped lines of a module that was forgotten are told to nobody") {
  subscribe(5, true);
  spend_budget();
  CHECK(log("line") == Ruling::dropped);
  modules.forget(module.id);
  logs.tick(now + 1h);
  CHECK(news() == News{"logs 5 subscribed"});
}

TEST_CASE_FIXTURE(Logs, "a worker that goes on although its lines are dropped is held up now and then") {
  spend_budget();
  int floods = 0;
  for (int i = 0; i < 25'000; ++i) floods += log("line") == Ruling::flood ? 1 : 0;
  CHECK(floods == 2);
}

// --- the client of a call ------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(Logs, "a call's client is shown the call's lines, and told of dropped ones before the next line") {
  send(call(9));
  std::uint64_t dropped = 0;
  const CallReader of_call{reader(), 9, dropped};
  CHECK(log("one", of_call) == Ruling::accepted);
  CHECK(log("", of_call, 2) == Ruling::dropped);
  CHECK(dropped == 2);
  CHECK(log("two", of_call) == Ruling::accepted);
  CHECK(dropped == 0);
  CHECK(news() == News{"line of call 9 one",
                       "line of call 9 2 log lines dropped: there were more than could be passed on",
                       "line of call 9 two"});
}

TEST_CASE_FIXTURE(Logs, "a call's client is told of dropped lines before the answer, and only if there are any") {
  send(call(9));
  std::uint64_t dropped = 0;
  const CallReader of_call{reader(), 9, dropped};
  logs.tell_of_dropped(module, of_call);
  CHECK(news().empty());
  spend_budget();
  CHECK(log("line", of_call) == Ruling::dropped);
  logs.tell_of_dropped(module, of_call);
  CHECK(news() == News{"line of call 9 1 log line dropped: there were more than could be passed on"});
  logs.tell_of_dropped(module, of_call);
  CHECK(news().empty());
}

TEST_CASE_FIXTURE(Logs, "lines that a call's client is too slow to read count as dropped") {
  module.settings.log_burst_bytes = std::uint64_t{16} << 20;
  send(call(9));
  std::uint64_t dropped = 0;
  const CallReader of_call{reader(), 9, dropped};
  for (int i = 0; i < 500; ++i) CHECK(log(std::string(8 << 10, 'x'), of_call) == Ruling::accepted);
  CHECK(dropped > 300);
  CHECK(dropped < 500);
}

}  // namespace
}  // namespace holdfast::supervisor::testing
