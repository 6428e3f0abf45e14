// Clients that read module logs, seen from their sessions.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/supervisor/session_support.h"

namespace holdfast::supervisor::testing {
namespace {

using News = std::vector<std::string>;

std::string subscribe(std::uint64_t id, bool follow, std::string_view module = "", std::string_view version = "") {
  return encoded(
      ipc::SubscribeLogsRequest{.id = id, .module = module, .version = version, .backlog = 10, .follow = follow});
}

ipc::LogRecord line(std::string text, std::string module = "m", std::string version = "v1") {
  return {.module = std::move(module), .version = std::move(version), .request_id = {}, .text = std::move(text)};
}

TEST_CASE_FIXTURE(SessionFixture, "existing lines come before the confirmation of the subscription") {
  greet();
  owner.past_lines = {line("one"), line("two")};
  send(subscribe(5, false));
  CHECK(client.news() == News{"line 5 one", "line 5 two", "logs 5 subscribed"});
  owner.session->show_line(line("three"));
  settle();
  CHECK(client.news() == News{});
}

TEST_CASE_FIXTURE(SessionFixture, "each subscription gets the lines that its filter covers, until it ends") {
  greet();
  send(subscribe(1, true) + subscribe(2, true, "m") + subscribe(3, true, "m", "v2"));
  CHECK(client.news() == News{"logs 1 subscribed", "logs 2 subscribed", "logs 3 subscribed"});
  owner.session->show_line(line("a", "m", "v1"));
  owner.session->show_line(line("b", "m", "v2"));
  owner.session->show_line(line("c", "other", "v2"));
  settle();
  CHECK(client.news() == News{"line 1 a", "line 2 a", "line 1 b", "line 2 b", "line 3 b", "line 1 c"});
  send(encoded(ipc::EndLogsRequest{1}) + encoded(ipc::EndLogsRequest{77}));
  owner.session->show_line(line("d"));
  settle();
  CHECK(client.news() == News{"line 2 d"});
}

TEST_CASE_FIXTURE(SessionFixture,
                  "a client that does not read costs a bounded amount of memory, and is told what it missed") {
  greet();
  send(subscribe(1, true));
  client.news();
  const int kLines = 1000;
  for (int i = 0; i < kLines; ++i) {
    owner.session->show_line(line(std::string(8 << 10, 'x')));
    settle();
  }
  settle_reading();
  const News news = client.news();
  CHECK(news.size() > 50);
  CHECK(news.size() < 200);
  const std::string dropped = std::to_string(kLines - (news.size() - 1));
  CHECK(news.back() == "line 1 " + dropped + " log lines dropped: the client reads them more slowly than they come");
  owner.session->show_line(line("again"));
  settle();
  CHECK(client.news() == News{"line 1 again"});
}

TEST_CASE_FIXTURE(SessionFixture, "lines of a call are not passed on to a client that does not read") {
  greet();
  send(call(1));
  int passed = 0;
  while (passed < 1000 && owner.session->show_line_of_call(1, line(std::string(8 << 10, 'x')))) ++passed;
  CHECK(passed > 50);
  CHECK(passed < 200);
  owner.finish_first();
  settle_reading();
  CHECK(client.news().back() == "answer 1 ok");
}

TEST_CASE_FIXTURE(SessionFixture,
                  "a subscription's id that is in use, or one subscription too many, breaks the protocol") {
  greet();
  SUBCASE("in use") {
    send(subscribe(1, true) + subscribe(1, false));
    CHECK(client.news()[1].starts_with("protocol error: subscription id 1 is used"));
  }
  SUBCASE("too many") {
    for (std::uint64_t id = 1; id <= 16; ++id) send(subscribe(id, true));
    CHECK(client.news().size() == 16);
    send(subscribe(17, true));
    CHECK(client.news()[0].starts_with("protocol error: more than 16 subscriptions"));
  }
  SUBCASE("a version without a module") {
    send(subscribe(1, true, "", "v1"));
    CHECK(client.news()[0].starts_with("protocol error: the logs of a version"));
  }
  CHECK(owner.left == 1);
}

}  // namespace
}  // namespace holdfast::supervisor::testing
