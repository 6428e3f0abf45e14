// What modules log, as operators and callers see it.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using Texts = std::vector<std::string>;

const Module kTalker{"talker", R"js(
    exports.say = (text, { requestId }) => { console.log(text); return requestId; };
    exports.warn = (text) => console.warn(text);
    exports.steps = async () => {
      console.log('one'); await new Promise((resolve) => setTimeout(resolve, 5));
      console.error('two'); setTimeout(() => console.log('after the answer'), 5); return 3;
    };
    exports.flood = (count) => { for (let i = 0; i < count; i++) console.log(`line ${i}`, 'x'.repeat(500)); };
)js"};

// Runs "holdfast" with these words against that daemon.
Finished run_command(const Daemon& daemon, std::vector<std::string> words) {
  words.insert(words.begin(), command_program());
  words.insert(words.end(), {"--socket", daemon.socket_path()});
  return run(words);
}

TEST_CASE("as JSON, each line of the log is an object, with module, version and call where a module logged it") {
  Daemon daemon({.modules = {kTalker}, .flags = {"--log-format", "json"}});
  ipc::Client client = daemon.connect();
  const std::string id = json::parse(outcome(call(client, {"talker", "say", R"("a\n\"b\"\u001b\u009b")"})));
  CHECK(outcome(call(client, {"talker", "warn", R"("last")"})) == "null");
  REQUIRE(daemon.logged("last"));
  bool found = false;
  std::string rest = daemon.log();
  for (std::size_t end; (end = rest.find('\n')) != std::string::npos; rest.erase(0, end + 1)) {
    const json line = json::parse(rest.substr(0, end));
    CHECK(line.contains("time"));
    CHECK(line.contains("level"));
    CHECK(line.contains("message"));
    if (!line.contains("requestId") || line["requestId"] != id) continue;
    found = true;
    CHECK(line["module"] == "talker");
    CHECK(line["version"] == "v1");
    CHECK(line["level"] == "info");
    CHECK(line["message"] == "a\n\"b\"\x1b\xc2\x9b");
    CHECK(line["time"].get<std::string>().ends_with("Z"));
  }
  CHECK(found);
}

TEST_CASE("what modules log has a level of its own") {
  Daemon daemon({.modules = {kTalker}, .flags = {"--log-level", "info", "--module-log-level", "warning"}});
  ipc::Client client = daemon.connect();
  call(client, {"talker", "say", R"("quiet")"});
  call(client, {"talker", "warn", R"("loud")"});
  REQUIRE(daemon.logged("loud"));
  CHECK_FALSE(contains(daemon.log(), "quiet"));
  CHECK(contains(daemon.log(), "listens on"));
}

TEST_CASE("a caller that requests logs gets the lines of its own call in order before the answer") {
  Daemon daemon({.modules = {kTalker}});
  ipc::Client client = daemon.connect();
  Texts mine, others;
  const CallTo steps{"talker", "steps"}, say{"talker", "say", R"("other")"};
  bool answered = false;
  client.start(say.request(), [](const ipc::Answer&) {},
               {.on_log = [&](const ipc::LogRecord& line) { others.push_back(line.text); }});
  client.start(steps.request(), [&](const ipc::Answer&) { answered = true; },
               {.on_log = [&](const ipc::LogRecord& line) {
                 CHECK_FALSE(answered);
                 CHECK(line.module == "talker");
                 CHECK(line.version == "v1");
                 CHECK_FALSE(line.request_id.empty());
                 mine.push_back(line.text);
               }});
  while (client.open_calls() > 0) client.run_once();
  CHECK(mine == Texts{"one", "two"});
  CHECK(others == Texts{"other"});
  // Lines that come after the answer are in the log only.
  REQUIRE(daemon.logged("after the answer"));
  CHECK(outcome(call(client, {"talker", "say", "1"})) != "");
  CHECK(mine.size() == 2);
}

TEST_CASE("a client that follows logs gets the old and the new lines of the module that it named") {
  Module other = kTalker;
  other.name = "other";
  Daemon daemon({.modules = {kTalker, other}});
  ipc::Client caller = daemon.connect(), reader = daemon.connect();
  for (const char* module : {"talker", "other"}) {
    for (const char* text : {R"("1")", R"("2")"}) call(caller, {module, "say", text});
  }
  Texts all, talker, last;
  const auto into = [](Texts& texts) {
    return [&texts](const ipc::LogRecord& line) { texts.push_back(line.module + " " + line.text); };
  };
  REQUIRE(reader.subscribe_logs({.backlog = 100, .follow = true}, into(all)));
  const auto of_talker = reader.subscribe_logs({.module = "talker", .backlog = 1, .follow = true}, into(talker));
  REQUIRE(of_talker);
  REQUIRE(reader.subscribe_logs({.module = "other", .version = "v1", .backlog = 1}, into(last)));
  CHECK(all == Texts{"talker 1", "talker 2", "other 1", "other 2"});
  CHECK(talker == Texts{"talker 2"});
  CHECK(last == Texts{"other 2"});
  call(caller, {"other", "say", R"("3")"});
  call(caller, {"talker", "say", R"("3")"});
  while (talker.size() < 2) reader.run_once();
  CHECK(talker == Texts{"talker 2", "talker 3"});
  CHECK(all.size() == 6);
  CHECK(last.size() == 1);
  reader.end_logs(*of_talker);
  call(caller, {"talker", "say", R"("4")"});
  while (all.size() < 7) reader.run_once();
  CHECK(all.back() == "talker 4");
  CHECK(talker.size() == 2);
}

TEST_CASE(
    "lines beyond a module's budget are dropped, and their number is told to the log, to readers and to the caller") {
  Daemon daemon({.modules = {kTalker}});
  ipc::Client client = daemon.connect();
  const int kCount = 4000;
  std::size_t lines = 0;
  std::uint64_t dropped = 0;
  const CallTo flood{"talker", "flood", std::to_string(kCount)};
  const auto count = [&](const ipc::LogRecord& line) {
    (line.dropped > 0 ? dropped : lines) += line.dropped > 0 ? line.dropped : 1;
  };
  CHECK(outcome(client.call(flood.request(), {.on_log = count})) == "null");
  CHECK(lines > 100);
  CHECK(lines < 1000);
  CHECK(lines + dropped == kCount);
  REQUIRE(daemon.logged("log lines dropped: the module logs more than 64kB/s"));
  std::uint64_t told = 0, seen = 0;
  REQUIRE(client.subscribe_logs({.backlog = 10'000}, [&](const ipc::LogRecord& line) {
    told += line.dropped;
    seen += line.dropped == 0 ? 1 : 0;
  }));
  CHECK(told + seen == kCount);
}

TEST_CASE("the settings of a module decide whether it logs more or less or nothing") {
  const std::string code =
      "exports.talk = (count) => { for (let i = 0; i < count; i++) console.log('x'.repeat(1000)); };";
  const TemporaryFolder folder;
  const auto settings = folder.write("settings.toml",
                                     "[module.much]\nlog_burst = \"100MB\"\n"
                                     "[module.little]\nlog_rate = \"1KB\"\nlog_burst = \"20KB\"\n"
                                     "[module.none]\nlog_rate = \"0B\"\nlog_burst = \"0B\"\n");
  Daemon daemon({.modules = {{"much", code}, {"little", code}, {"none", code}}, .flags = {"--config", settings}});
  ipc::Client client = daemon.connect();
  const auto lines_of = [&](const std::string& module) {
    std::size_t lines = 0;
    const CallTo talk{module, "talk", "400"};
    const auto count = [&](const ipc::LogRecord& line) { lines += line.dropped == 0 ? 1 : 0; };
    CHECK(outcome(client.call(talk.request(), {.on_log = count})) == "null");
    return lines;
  };
  // A slow reader may miss some lines.
  CHECK(lines_of("much") > 350);
  const std::size_t little = lines_of("little");
  CHECK(little >= 18);
  CHECK(little < 100);
  CHECK(lines_of("none") == 0);
  CHECK(daemon.logged("log lines dropped: the module logs more than 1kB/s"));
}

TEST_CASE("users that the operator did not name read no logs, neither of modules nor of their own calls" *
          needs_root()) {
  for (const bool allowed : {false, true}) {
    std::vector<std::string> flags = {"--socket-mode", "0666"};
    if (allowed) flags.insert(flags.end(), {"--allow-logs", "nobody"});
    Daemon daemon({.modules = {kTalker}, .flags = flags});
    std::filesystem::permissions(daemon.folder()->path(), std::filesystem::perms::others_exec,
                                 std::filesystem::perm_options::add);
    const auto as_stranger = [&](std::vector<std::string> words) {
      words.insert(words.begin(), command_program());
      words.insert(words.end(), {"--socket", daemon.socket_path()});
      return run(words, {.as_nobody = true});
    };
    const Finished logs = as_stranger({"logs"});
    const Finished call = as_stranger({"invoke", "talker@v1", "say", R"("secret")", "--logs"});
    const Finished plain = as_stranger({"invoke", "talker@v1", "warn", "1"});
    CHECK(plain.status == 0);
    CHECK(logs.status == (allowed ? 0 : 3));
    CHECK(call.status == (allowed ? 0 : 3));
    CHECK(contains(call.errors, "secret") == allowed);
    if (!allowed) CHECK(contains(logs.errors, "permission_denied"));
    if (!allowed) CHECK(daemon.logged("may not read modules' logs"));
  }
}

TEST_CASE("holdfast logs shows the last lines and ends; with -f it goes on until it is interrupted") {
  Daemon daemon({.modules = {kTalker}});
  ipc::Client client = daemon.connect();
  const std::string id = json::parse(outcome(call(client, {"talker", "say", R"("first\nsecond")"})));
  const Finished text = run_command(daemon, {"logs"});
  CHECK(text.status == 0);
  CHECK(contains(text.output, " info talker@v1 " + id + ": first\n    second\n"));
  const Finished as_json = run_command(daemon, {"logs", "talker", "--json"});
  CHECK(json::parse(as_json.output)["message"] == "first\nsecond");
  CHECK(run_command(daemon, {"logs", "nobody"}).output == "");
  CHECK(run_command(daemon, {"logs", "-n", "0"}).output == "");

  Program following({command_program(), "logs", "-f", "talker@v1", "--socket", daemon.socket_path()});
  REQUIRE(eventually([&] { return contains(following.output(), "second"); }));
  call(client, {"talker", "say", R"("third")"});
  REQUIRE(eventually([&] { return contains(following.output(), "third"); }));
  following.signal(SIGINT);
  CHECK(following.wait() == 0);
}

TEST_CASE("holdfast invoke --logs and holdfast run print what the call logs on standard error") {
  Daemon daemon({.modules = {kTalker}});
  const Finished invoked = run_command(daemon, {"invoke", "talker@v1", "steps", "--logs"});
  CHECK(invoked.output == "3\n");
  CHECK(invoked.errors == "[info] one\n[error] two\n");
  CHECK(run_command(daemon, {"invoke", "talker@v1", "steps"}).errors == "");
  const TemporaryFolder folder;
  const auto file = folder.write("talker.js", kTalker.code);
  const Finished ran = run({command_program(), "run", file, "steps"});
  CHECK(ran.output == "3\n");
  CHECK(ran.errors == "[info] one\n[error] two\n");
}

}  // namespace
}  // namespace holdfast::test
