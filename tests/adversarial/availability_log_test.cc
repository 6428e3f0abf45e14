// Logs that are not read, and clients and modules that flood the log, must not delay any calls.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kServed = {"good", "exports.add = ({ a, b }) => a + b;"};
const Module kFlood = {"flood",
                       "exports.log = (lines) => { for (let i = 0; i < lines; ++i) console.log('x'.repeat(4000)); };"};

void check_still_serves(ipc::Client& client) {
  CHECK(outcome(call(client, {"good", "add", R"({"a":1,"b":2})", kHangGuard})) == "3");
}

std::string read_some(const UniqueFd& reader) {
  std::string text(std::size_t{1} << 16, '\0');
  const ssize_t count = ::read(reader.get(), text.data(), text.size());
  text.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  return text;
}

TEST_CASE("a log that nobody reads delays neither calls nor the shutdown") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  ::fcntl(reader.get(), F_SETFL, O_NONBLOCK);
  // A module may log a burst of 256 kB. Seven bursts are more than the pipe and the buffer take.
  Daemon daemon({.modules = {kServed,
                             kFlood,
                             {"flood", kFlood.code, "v2"},
                             {"flood", kFlood.code, "v3"},
                             {"flood", kFlood.code, "v4"},
                             {"flood", kFlood.code, "v5"},
                             {"flood", kFlood.code, "v6"},
                             {"flood", kFlood.code, "v7"}},
                 .errors = writer.get()});
  writer.reset();
  ipc::Client client = daemon.connect();
  for (const char* version : {"v1", "v2", "v3", "v4", "v5", "v6", "v7"}) {
    CHECK(outcome(call(client, {.module = "flood", .function = "log", .payload = "60", .version = version})) == "null");
    check_still_serves(client);
  }
  SUBCASE("the log is read later") {
    std::string log;
    CHECK(eventually([&] {
      log += read_some(reader);
      return contains(log, "dropped: standard error was not read as fast as they came");
    }));
    check_still_serves(client);
  }
  SUBCASE("the log is never read") {}
  daemon.stop();
}

TEST_CASE("a client that breaks the protocol again and again does not fill the log") {
  Daemon daemon({.modules = {kServed}});
  ipc::Client client = daemon.connect();
  constexpr int kViolations = 2'000;
  for (int i = 0; i < kViolations; ++i) {
    RawConnection evil(daemon.socket_path());
    evil.send(std::string(64, '\xff'));
    evil.read_to_end();
  }
  check_still_serves(client);
  CHECK(occurrences(daemon.log(), "protocol violation") < kViolations);
  CHECK(occurrences(daemon.log(), "protocol violation") > 100);
}

}  // namespace
}  // namespace holdfast::test
