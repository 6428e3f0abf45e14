// Native code that misuses its socket: it never reads, sends without end, or never ends a frame. The supervisor's
// memory stays bounded, and others are served all the time.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <list>

#include "ipc/worker_messages.h"
#include "tests/adversarial/siege.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;

const std::vector<std::string> kPatient = {"--stretch", "10m"};

// Waits until the call is answered, and calls a bystander all the time.
void wait_for(Siege& siege, Calls& calls, std::size_t until) {
  while (!calls.is_answered(until)) CHECK(outcome(call(siege.client(), {"bystander", "ping"})) == "\"pong\"");
}

TEST_CASE("a worker that logs without end takes neither the supervisor's memory nor others' service") {
  Siege siege(kPatient);
  ipc::OutputBuffer out;
  encode(out, ipc::LogLine{ipc::LogLevel::info, std::string(4000, 'x'), 0});
  const std::uint64_t before = siege.supervisor_memory();
  Calls calls(siege.client());
  calls.start({.module = "attacker",
               .function = "sendForEver",
               .payload = as_json(ipc::as_text(out.data())),
               .timeout = milliseconds(500)});
  wait_for(siege, calls, 0);
  CHECK(siege.supervisor_peak() < before + 32 * kMegabyte);
  CHECK(code_of(calls.answer(0)) == "deadline_exceeded");
  siege.end();
}

TEST_CASE("a worker that sends a frame byte by byte, and never ends it, is stopped at its deadline") {
  Siege siege(kPatient);
  const std::uint64_t before = siege.supervisor_memory();
  Calls calls(siege.client());
  calls.start({.module = "attacker", .function = "drip", .timeout = milliseconds(500)});
  wait_for(siege, calls, 0);
  CHECK(siege.supervisor_peak() < before + 32 * kMegabyte);
  CHECK(code_of(calls.answer(0)) == "deadline_exceeded");
  siege.end();
}

TEST_CASE("workers that never end their largest frame cost only what they sent and only until they end") {
  Siege siege(kPatient);
  constexpr std::uint64_t kFrame = 16 * kMegabyte;
  const std::vector<std::string> modules = {"attacker0", "attacker1", "attacker2", "attacker3"};
  for (const std::string& module : modules) siege.worker(module);  // the worker has reported that it has loaded
  const std::uint64_t before = siege.supervisor_memory();
  Calls calls(siege.client());
  for (const std::string& module : modules) {
    calls.start({.module = module,
                 .function = "sendAlmostAll",
                 .payload = std::to_string(kFrame),
                 .timeout = milliseconds(1000)});
  }
  for (std::size_t i = 0; i < modules.size(); ++i) wait_for(siege, calls, i);
  const std::uint64_t most = siege.supervisor_peak();
  for (std::size_t i = 0; i < modules.size(); ++i) {
    CAPTURE(outcome(calls.answer(i)));
    CHECK(code_of(calls.answer(i)) == "deadline_exceeded");
  }
  CHECK(most > before + kFrame);  // shows that the frames were sent
  // A growing buffer holds its old contents, too, for a moment.
  CHECK(most < before + modules.size() * 2 * kFrame + 32 * kMegabyte);
  for (const std::string& module : modules) {
    call(siege.client(), {module, "doCall", native_call(SYS_exit_group, 0).json});
  }
  siege.end();
}

TEST_CASE("calls for a worker that reads nothing wait within the shares of their clients and end at their deadlines") {
  Siege siege(kPatient);
  siege.worker();
  const std::uint64_t before = siege.supervisor_memory();
  constexpr std::size_t kClients = 3, kCalls = 80;  // of 1 MB each
  constexpr std::uint64_t kShare = 32 * kMegabyte;  // of each client, see docs/architecture.md
  const CallTo stuck{
      .module = "attacker", .function = "run", .payload = steps({step("spin")}), .timeout = milliseconds(1500)};
  const CallTo large{.module = "attacker",
                     .function = "echo",
                     .payload = "\"" + std::string(kMegabyte, 'x') + "\"",
                     .timeout = milliseconds(1000)};
  Calls first(siege.client());
  first.start(stuck);
  std::list<ipc::Client> clients;
  std::list<Calls> calls;
  for (std::size_t i = 0; i < kClients; ++i) {
    Calls& of_client = calls.emplace_back(clients.emplace_back(siege.daemon().connect()));
    for (std::size_t j = 0; j < kCalls; ++j) of_client.start(large);
  }
  while (!first.is_answered(0)) {
    for (ipc::Client& client : clients) client.run_once(milliseconds(1));
    CHECK(outcome(call(siege.client(), {"bystander", "ping"})) == "\"pong\"");
  }
  const std::uint64_t most = siege.supervisor_peak();
  CHECK(most > before + 2 * kShare);  // shows that the supervisor has the calls
  // The supervisor holds each call as it was received and also on its way to the worker, in a buffer that has room to
  // grow and also holds its old contents while it does. (meson makes malloc(3) write to all of it.)
  CHECK(most < before + kClients * 5 * kShare + 32 * kMegabyte);
  for (Calls& of_client : calls) of_client.wait_for_all();
  clients.clear();
  siege.end(32 * kMegabyte);
}

TEST_CASE("a client that reads no large answers is disconnected before they fill the memory") {
  Siege siege(kPatient);
  const std::uint64_t before = siege.supervisor_memory();
  constexpr std::uint64_t kAnswer = 15 * kMegabyte;
  constexpr std::uint64_t kMostUnread = 64 * kMegabyte;  // see docs/architecture.md
  {
    ipc::Client deaf = siege.daemon().connect();
    Calls calls(deaf);
    for (int i = 0; i < 60; ++i) {
      calls.start({fmt::format("attacker{}", i % 4), "large", std::to_string(kAnswer)});
    }
    deaf.run_once(milliseconds(0));  // sends the calls
    REQUIRE(eventually([&] {
      CHECK(outcome(call(siege.client(), {"bystander", "ping"})) == "\"pong\"");
      pollfd connection = {deaf.fd(), POLLRDHUP, 0};
      return ::poll(&connection, 1, 0) == 1;  // the supervisor closed the connection
    }));
    calls.wait_for_all();  // the client learns that it was cut off
    CHECK(calls.count("result") < calls.size());
  }
  const std::uint64_t most = siege.supervisor_peak();
  CHECK(most < before + 4 * kMostUnread + 4 * 2 * kAnswer);
  for (int lane = 0; lane < 4; ++lane) {
    call(siege.client(), {fmt::format("attacker{}", lane), "doCall", native_call(SYS_exit_group, 0).json});
  }
  siege.end(32 * kMegabyte);
}

}  // namespace
}  // namespace holdfast::test
