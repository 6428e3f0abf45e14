// Modules without a file, whose code clients supply: by `holdfast load`, and by the client library.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "tests/integration/modules.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

const std::string kPing = "exports.ping = () => 'pong'; exports.where = () => new Error().stack;";

std::vector<std::string> allowing(const std::string& user, std::vector<std::string> more = {}) {
  more.insert(more.end(), {"--allow-loader", user});
  return more;
}

Finished holdfast(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), command_program());
  return run(arguments);
}

// Makes the client a loader. Its own calls wait for what its handler supplies.
void register_loader(ipc::Client& client, ipc::LoadHandler handler, milliseconds timeout = milliseconds(0)) {
  REQUIRE(client.register_loader(std::move(handler), timeout).has_value());
}

// A loader that records requests and does not answer them.
struct Unanswering {
  struct Wanted {
    std::uint64_t id;
    std::string module;
  };
  explicit Unanswering(const Daemon& daemon, milliseconds timeout = milliseconds(0)) : client(daemon.connect()) {
    const auto keep = [wanted = wanted](std::uint64_t id, const ipc::ModuleName& name) {
      wanted->push_back({id, to_string(name)});
    };
    REQUIRE(client.register_deferred_loader(keep, timeout).has_value());
  }
  bool is_asked(std::size_t times, ipc::Client& caller) {
    return eventually([&] {
      caller.run_once(milliseconds(0));
      client.run_once(milliseconds(0));
      return wanted->size() == times;
    });
  }
  std::shared_ptr<std::vector<Wanted>> wanted = std::make_shared<std::vector<Wanted>>();
  ipc::Client client;
};

// --- the command ---------------------------------------------------------------------------------------------------

TEST_CASE("holdfast load supplies modules without a file if its user is permitted and only while it runs") {
  for (const std::string& user : {std::to_string(::geteuid()), std::string("any")}) {
    CAPTURE(user);
    Daemon daemon({.flags = allowing(user, {"--idle-timeout", "10ms"})});
    const TemporaryFolder folder;
    folder.write("given-v1.js", kPing);
    Program loader({command_program(), "load", folder.path(), "--verbose", "--socket", daemon.socket_path()});
    REQUIRE(eventually([&] { return contains(loader.errors(), "loading modules from"); }));
    const Finished done = holdfast({"invoke", "given@v1", "ping", "--socket", daemon.socket_path()});
    CHECK(done.output == "\"pong\"\n");
    CHECK(done.status == 0);
    CHECK(contains(loader.errors(), "given@v1: given-v1.js"));
    CHECK(
        contains(holdfast({"invoke", "given@v1", "where", "--socket", daemon.socket_path()}).output, "given-v1.js:1"));
    const Finished unknown = holdfast({"invoke", "unknown@v1", "ping", "--socket", daemon.socket_path()});
    CHECK(unknown.status == 1);
    CHECK(contains(unknown.errors, "not_found"));
    CHECK(contains(loader.errors(), "unknown@v1: not found"));
    loader.signal(SIGTERM);
    CHECK(loader.wait() == 0);
    const Finished gone = holdfast({"invoke", "other@v1", "ping", "--socket", daemon.socket_path()});
    CHECK(gone.status == 1);
    CHECK(contains(gone.errors, "not_found"));
    daemon.stop();
  }
}

TEST_CASE("holdfast load by a user who is not permitted fails with its own exit status and a line in the log") {
  for (const std::vector<std::string>& flags : {std::vector<std::string>{}, allowing("12345")}) {
    Daemon daemon({.modules = {kEcho}, .flags = flags});
    const TemporaryFolder folder;
    folder.write("given-v1.js", kPing);
    const Finished done = holdfast({"load", folder.path(), "--socket", daemon.socket_path()});
    CHECK(done.status == 3);
    CHECK(contains(done.errors, "permission_denied"));
    CHECK(contains(done.errors, "--allow-loader"));
    CHECK(daemon.logged(fmt::format("may not load modules: user {} is not listed in --allow-loader", ::geteuid())));
    ipc::Client client = daemon.connect();
    CHECK(code_of(call(client, {"given", "ping"})) == "not_found");
    CHECK(outcome(call(client, {"echo", "echo", "7"})) == "7");
    daemon.stop();
  }
}

TEST_CASE("a client that registers as a loader again and again without permission does not fill the log") {
  Daemon daemon({.modules = {kEcho}, .flags = allowing("12345")});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(client.register_loader([](const ipc::ModuleName&) { return ipc::NoSuchModule{}; }).has_value());
  }
  daemon.stop();
  CHECK(occurrences(daemon.log(), "may not load modules") == 1);
}

// --- asking --------------------------------------------------------------------------------------------------------

TEST_CASE("a loader is asked once for a module, however many calls wait for it, and each of them is answered") {
  Daemon daemon({.flags = allowing("any")});
  Unanswering loader(daemon);
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 300; ++i) calls.start({"given", "ping"});
  REQUIRE(loader.is_asked(1, client));
  CHECK(loader.wanted->front().module == "given@v1");
  for (int i = 0; i < 50; ++i) calls.start({"given", "ping"});
  REQUIRE(eventually([&] {
    client.run_once(milliseconds(0));
    return stats_of(client, "given").queued == 350;
  }));
  loader.client.give_source(loader.wanted->front().id, ipc::LoadedSource{kPing, "given.js"});
  loader.client.run_once(milliseconds(0));
  calls.wait_for_all();
  CHECK(calls.count("result") == 350);
  loader.client.run_once(milliseconds(0));
  CHECK(loader.wanted->size() == 1);
  daemon.stop();
}

TEST_CASE("calls of a loader that does not answer in time are load_failed and its late answer is ignored") {
  Daemon daemon({.flags = allowing("any", {"--loader-timeout", "200ms"})});
  Unanswering loader(daemon, std::chrono::hours(1));  // shortened to what the operator allows
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"given", "ping"});
  const auto error = error_of(calls.wait_for(0));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(contains(error.message, "did not answer in time"));
  CHECK(error.executed == ipc::Executed::no);
  CHECK(error.retryable);
  CHECK(calls.answer(0).usage.attempts == 0);
  REQUIRE(loader.is_asked(1, client));
  loader.client.give_source(loader.wanted->front().id, ipc::LoadedSource{"exports.ping = () => 'too late';", ""});
  loader.client.run_once(milliseconds(0));
  calls.start({"given", "ping"});
  REQUIRE(loader.is_asked(2, client));
  loader.client.give_source(loader.wanted->back().id, ipc::LoadedSource{kPing, ""});
  loader.client.run_once(milliseconds(0));
  CHECK(outcome(calls.wait_for(1)) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("the loader's own, shorter timeout holds") {
  Daemon daemon({.flags = allowing("any", {"--loader-timeout", "1h"})});
  Unanswering loader(daemon, milliseconds(50));
  ipc::Client client = daemon.connect();
  CHECK(contains(outcome(call(client, {"given", "ping"})), "load_failed: "));
  daemon.stop();
}

TEST_CASE("callers get the answer of the loader about a module") {
  Daemon daemon({.flags = allowing("any")});
  ipc::Client client = daemon.connect();
  register_loader(client, [](const ipc::ModuleName& name) -> ipc::LoadOutcome {
    if (name.module == "absent") return ipc::NoSuchModule{};
    if (name.module == "failing") return ipc::LoadFailure{"the registry\x1b[31m is down"};
    if (name.module == "garbage") return ipc::LoadedSource{std::string("\xff\x00\x80 {{{", 7), "garbage.js"};
    if (name.module == "throwing") return ipc::LoadedSource{"\nthrow new Error('as asked');", ""};
    if (name.module == "empty") return ipc::LoadedSource{"", ""};
    if (name.module == "huge") return ipc::LoadedSource{std::string(17 << 20, ' '), "huge.js"};
    return ipc::LoadedSource{kPing, std::string(1000, 'n')};
  });
  CHECK(code_of(call(client, {"absent", "ping"})) == "not_found");
  const auto failing = error_of(call(client, {"failing", "ping"}));
  CHECK(ipc::to_string(failing.code) == "load_failed");
  CHECK(contains(failing.message, "the registry"));
  const auto garbage = error_of(call(client, {"garbage", "ping"}));
  CHECK(ipc::to_string(garbage.code) == "load_failed");
  const auto throwing = error_of(call(client, {"throwing", "ping"}));
  CHECK(ipc::to_string(throwing.code) == "load_failed");
  CHECK(contains(throwing.stack, "throwing-v1.js:2"));
  CHECK(code_of(call(client, {"empty", "ping"})) == "not_found");  // the module loads, but has no such function
  CHECK(code_of(call(client, {"huge", "ping"})) == "load_failed");
  CHECK(outcome(call(client, {"good", "ping"})) == "\"pong\"");
  CHECK_FALSE(contains(daemon.log(), "\x1b[31m is down"));
  daemon.stop();
}

TEST_CASE("code of 17 MB that a loader sends regardless is load_failed and its session goes on") {
  Daemon daemon({.flags = allowing("any")});
  RawConnection loader(daemon.socket_path());
  loader.send(RawConnection::frame_of(ipc::ClientHello{}));
  loader.send(RawConnection::frame_of(ipc::RegisterLoaderRequest{.id = 1}));
  ipc::Client client = daemon.connect();
  Calls calls(client);
  std::size_t asked = 0;
  const std::string code(17 << 20, ' ');
  const auto serve = [&](const ipc::ServerMessage& message) {
    const auto* wanted = std::get_if<ipc::SourceWanted>(&message);
    if (wanted == nullptr) return;
    const bool is_huge = wanted->name.module == "huge";
    loader.send(RawConnection::frame_of(
        ipc::SourceReply{wanted->id, ipc::SourceCode{ipc::as_bytes(is_huge ? code : kPing), "huge.js"}}));
    ++asked;
  };
  REQUIRE(eventually([&] {
    REQUIRE(loader.receive(serve, milliseconds(0)) != RawConnection::Received::end);
    return contains(daemon.log(), "registered as a loader of modules that are in no file");
  }));
  calls.start({"huge", "ping"});
  calls.start({"good", "ping"});
  REQUIRE(eventually([&] {
    REQUIRE(loader.receive(serve, milliseconds(0)) != RawConnection::Received::end);
    client.run_once(milliseconds(1));
    return calls.order().size() == 2;
  }));
  CHECK(asked == 2);
  CHECK(code_of(calls.answer(0)) == "load_failed");
  CHECK(outcome(calls.answer(1)) == "\"pong\"");
  daemon.stop();
}

// --- loaders that leave --------------------------------------------------------------------------------------------

TEST_CASE("calls whose loader leaves while it is asked are load_failed, and may be repeated") {
  Daemon daemon({.flags = allowing("any")});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  {
    Unanswering loader(daemon);
    calls.start({"given", "ping"});
    REQUIRE(loader.is_asked(1, client));
  }
  const auto error = error_of(calls.wait_for(0));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(error.retryable);
  CHECK(error.executed == ipc::Executed::no);
  daemon.stop();
}

TEST_CASE("when a loader leaves while it is asked, the next one is asked") {
  Daemon daemon({.flags = allowing("any")});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  auto first = std::make_unique<Unanswering>(daemon);
  Unanswering second(daemon);
  calls.start({"given", "ping"});
  REQUIRE(first->is_asked(1, client));
  CHECK(second.wanted->empty());
  first.reset();
  REQUIRE(second.is_asked(1, client));
  second.client.give_source(second.wanted->front().id, ipc::LoadedSource{kPing, ""});
  second.client.run_once(milliseconds(0));
  CHECK(outcome(calls.wait_for(0)) == "\"pong\"");
  daemon.stop();
}

TEST_CASE("when a loader is silent, the next one is asked, and is then asked first") {
  Daemon daemon({.flags = allowing("any", {"--loader-timeout", "200ms"})});
  Unanswering silent(daemon);
  ipc::Client caller = daemon.connect();
  register_loader(caller, [](const ipc::ModuleName&) { return ipc::LoadedSource{kPing, ""}; });
  CHECK(outcome(call(caller, {"given", "ping"})) == "\"pong\"");
  REQUIRE(silent.is_asked(1, caller));
  // The supervisor no longer waits for this answer.
  silent.client.give_source(silent.wanted->front().id, ipc::LoadedSource{"exports.ping = () => 'late';", ""});
  silent.client.run_once(milliseconds(0));
  CHECK(outcome(call(caller, {"given", "ping"})) == "\"pong\"");
  CHECK(outcome(call(caller, {"another", "ping"})) == "\"pong\"");
  silent.client.run_once(milliseconds(0));
  CHECK(silent.wanted->size() == 1);
  daemon.stop();
}

TEST_CASE("when a loader does not know a module, the next one is asked") {
  Daemon daemon({.flags = allowing("any")});
  ipc::Client first = daemon.connect(), second = daemon.connect();
  std::size_t asked = 0;
  register_loader(first, [&](const ipc::ModuleName&) {
    ++asked;
    return ipc::NoSuchModule{};
  });
  register_loader(second, [](const ipc::ModuleName& name) -> ipc::LoadOutcome {
    if (name.module == "unknown") return ipc::NoSuchModule{};
    return ipc::LoadedSource{kPing, ""};
  });
  Calls calls(second);
  const auto serve = [&](std::size_t place) {
    return eventually([&] {
      first.run_once(milliseconds(0));
      second.run_once(milliseconds(1));
      return calls.is_answered(place);
    });
  };
  const auto known = calls.start({"given", "ping"});
  REQUIRE(serve(known));
  CHECK(outcome(calls.answer(known)) == "\"pong\"");
  CHECK(asked == 1);
  const auto unknown = calls.start({"unknown", "ping"});
  REQUIRE(serve(unknown));
  const auto error = error_of(calls.answer(unknown));
  CHECK(ipc::to_string(error.code) == "not_found");
  CHECK(contains(error.message, "no loader knows it"));
  CHECK(asked == 2);
  daemon.stop();
}

TEST_CASE("where all loaders are silent, each is asked once and the call is load_failed") {
  Daemon daemon({.flags = allowing("any", {"--loader-timeout", "100ms"})});
  Unanswering first(daemon), second(daemon);
  ipc::Client caller = daemon.connect();
  const auto error = error_of(call(caller, {"given", "ping"}));
  CHECK(ipc::to_string(error.code) == "load_failed");
  CHECK(contains(error.message, "did not answer in time"));
  REQUIRE(first.is_asked(1, caller));
  REQUIRE(second.is_asked(1, caller));
  daemon.stop();
}

TEST_CASE("a module that failed for want of a loader is served as soon as there is one again") {
  Daemon daemon({.flags = allowing("any", {"--idle-timeout", "10ms"})});
  ipc::Client client = daemon.connect();
  {
    ipc::Client loader = daemon.connect();
    register_loader(loader, [](const ipc::ModuleName&) { return ipc::LoadedSource{kPing, ""}; });
    CHECK(outcome(call(loader, {"given", "ping"})) == "\"pong\"");
  }
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::none_of(all.begin(), all.end(), [](const auto& worker) { return worker.module == "given"; });
  }));
  // More calls than it takes for a module to be held off.
  for (int i = 0; i < 8; ++i) CHECK_FALSE(call(client, {"given", "ping"}).has_value());
  register_loader(client, [](const ipc::ModuleName&) { return ipc::LoadedSource{kPing, ""}; });
  CHECK(outcome(call(client, {"given", "ping"})) == "\"pong\"");
  daemon.stop();
}

// --- files and loaders ---------------------------------------------------------------------------------------------

TEST_CASE("a file wins over a loader, also one that comes later") {
  Daemon daemon({.modules = {{"both", "exports.origin = () => 'file';"}}, .flags = allowing("any")});
  ipc::Client client = daemon.connect();
  std::vector<std::string> asked;
  register_loader(client, [&](const ipc::ModuleName& name) {
    asked.push_back(name.module);
    return ipc::LoadedSource{"exports.origin = () => 'loader';", ""};
  });
  CHECK(outcome(call(client, {"both", "origin"})) == "\"file\"");
  CHECK(outcome(call(client, {"given", "origin"})) == "\"loader\"");
  CHECK(asked == std::vector<std::string>{"given"});
  daemon.add_module({"given", "exports.origin = () => 'file';"});
  CHECK(eventually([&] { return outcome(call(client, {"given", "origin"})) == "\"file\""; }));
  CHECK(asked == std::vector<std::string>{"given"});
  daemon.stop();
}

TEST_CASE("a module whose file is removed is the loader's to give") {
  Daemon daemon({.modules = {{"both", "exports.origin = () => 'file';"}}, .flags = allowing("any")});
  ipc::Client client = daemon.connect();
  register_loader(client, [&](const ipc::ModuleName&) {
    return ipc::LoadedSource{"exports.origin = () => 'loader';", ""};
  });
  CHECK(outcome(call(client, {"both", "origin"})) == "\"file\"");
  fs::remove(daemon.folder()->path() / "modules/both-v1.js");
  CHECK(eventually([&] { return outcome(call(client, {"both", "origin"})) == "\"loader\""; }));
  daemon.stop();
}

TEST_CASE("a loader whose code for a module has changed has the processes that run the old one replaced") {
  const TemporaryFolder folder;
  const auto settings = folder.write("settings.toml", "[module.\"given@v1\"]\nmax_instances = 2\nmin_warm = 2\n");
  Daemon daemon({.flags = allowing("any", {"--config", settings})});
  ipc::Client client = daemon.connect();
  std::size_t asked = 0;
  register_loader(client, [&](const ipc::ModuleName&) {
    return ipc::LoadedSource{++asked == 1 ? "exports.version = () => 'old';" : "exports.version = () => 'new';", ""};
  });
  CHECK(outcome(call(client, {"given", "version"})) == "\"old\"");
  REQUIRE(daemon.logged("given@v1: its content has changed"));
  CHECK(eventually([&] {
    client.run_once(milliseconds(0));
    return stats_of(client, "given").cold_starts == 3;
  }));
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::count_if(all.begin(), all.end(), [](const auto& worker) {
             return worker.module == "given" && worker.state == ipc::WorkerState::idle;
           }) == 2;
  }));
  Calls calls(client);
  for (int i = 0; i < 20; ++i) calls.start({"given", "version"});
  calls.wait_for_all();
  for (std::size_t place = 0; place < calls.size(); ++place) CHECK(outcome(calls.answer(place)) == "\"new\"");
  daemon.stop();
}

TEST_CASE("code for calls that were given up takes no room from other modules") {
  Daemon daemon({.modules = {kHolder}, .flags = allowing("any", {"--max-workers", "1"})});
  ipc::Client client = daemon.connect();
  const std::string large(15 << 20, ' ');
  register_loader(client, [&](const ipc::ModuleName& name) {
    return ipc::LoadedSource{name.module == "good" ? kPing : large, ""};
  });
  Calls calls(client);
  calls.start({"holder", "hold"});
  REQUIRE(outcome(call(client, {"holder", "held"})) == "1");
  // The sum exceeds the limit for the code of all modules together.
  for (int i = 0; i < 20; ++i) {
    const auto place = calls.start({fmt::format("large-{}", i), "ping"});
    REQUIRE(eventually([&] {
      client.run_once(milliseconds(0));
      return client.stats()->totals.waiting_modules == 1 || calls.is_answered(place);
    }));
    calls.cancel(place);
    CHECK(code_of(calls.wait_for(place)) == "cancelled");
  }
  const auto good = calls.start({"good", "ping"});
  calls.cancel(0);
  CHECK(outcome(calls.wait_for(good)) == "\"pong\"");
  daemon.stop();
}

// --- unknown names --------------------------------------------------------------------------------------------------

TEST_CASE("names that neither a file nor a loader knows are not remembered") {
  Daemon daemon({.modules = {kEcho}, .flags = allowing("any")});
  ipc::Client client = daemon.connect();
  std::size_t asked = 0;
  register_loader(client, [&](const ipc::ModuleName&) {
    ++asked;
    return ipc::NoSuchModule{};
  });
  REQUIRE(outcome(call(client, {"echo", "echo", "7"})) == "7");
  Calls calls(client);
  constexpr std::size_t kNames = 500;
  for (std::size_t i = 0; i < kNames; ++i) calls.start({fmt::format("made-up-{}", i), "ping"});
  calls.wait_for_all();
  CHECK(calls.count("not_found") == kNames);
  CHECK(asked == kNames);
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  CHECK(stats->totals.modules == 1);
  daemon.stop();
}

TEST_CASE("names of refused calls are not remembered") {
  Daemon daemon({.flags = allowing("any", {"--max-workers", "1", "--total-queue-limit", "1"})});
  ipc::Client client = daemon.connect();
  Unanswering loader(daemon);
  Calls calls(client);
  calls.start({"given", "ping"});  // takes the only place in the queue
  REQUIRE(loader.is_asked(1, client));
  CHECK(code_of(call(client, {"refused", "ping"})) == "overloaded");
  CHECK(code_of(call(client, {"nameless", std::string(257, 'f')})) == "not_found");
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  CHECK(stats->totals.modules == 1);
  loader.client.give_source(loader.wanted->front().id, ipc::LoadedSource{kPing, ""});
  loader.client.run_once(milliseconds(0));
  calls.wait_for_all();
  daemon.stop();
}

// --- code that waits -----------------------------------------------------------------------------------------------

// A daemon whose only slot is taken, so that the code of other modules waits.
struct FullPool {
  FullPool() {
    register_loader(loader, [](const ipc::ModuleName& name) {
      const bool is_large = name.module.starts_with("large");
      return ipc::LoadedSource{"exports.ping = () => 'pong'; exports.hold = () => new Promise(() => {});" +
                                   std::string(is_large ? kLarge : 0, ' '),
                               ""};
    });
    calls.start({.module = "holder", .function = "hold", .timeout = std::chrono::hours(1)});
    serve_until([&] { return stats_of(client, "holder").instances == 1; });
  }
  // Serves loader and client until the condition holds. Modules of this size take some time to load, one after the
  // other.
  void serve_until(const std::function<bool()>& condition) {
    constexpr std::chrono::minutes kGuard{2};
    REQUIRE(eventually(
        [&] {
          loader.run_once(milliseconds(1));
          client.run_once(milliseconds(0));
          return condition();
        },
        kGuard));
  }
  static constexpr std::size_t kLarge = std::size_t{15} << 20;
  static constexpr std::size_t kTooMany = 18;  // large modules: more than the supervisor keeps

  // Supplying all requested code takes some seconds, and longer on a busy machine.
  Daemon daemon{{.flags = allowing("any", {"--max-workers", "1", "--loader-timeout", "10m"})}};
  ipc::Client loader = daemon.connect();
  ipc::Client client = daemon.connect();
  Calls calls{client};
};

TEST_CASE("code for which no call waits is not kept and leaves room for the code of other modules") {
  FullPool pool;
  for (std::size_t i = 0; i < FullPool::kTooMany; ++i) {
    const std::string name = fmt::format("large{}", i);
    const std::size_t place = pool.calls.start({.module = name, .function = "ping", .timeout = std::chrono::hours(1)});
    // The module has its code and waits for the slot.
    pool.serve_until([&] {
      const auto stats = pool.client.stats();
      REQUIRE(stats.has_value());
      return stats->totals.waiting_modules == 1;
    });
    pool.calls.cancel(place);
    CHECK(code_of(pool.calls.wait_for(place)) == "cancelled");
  }
  pool.calls.cancel(0);
  const std::size_t last = pool.calls.start({"last", "ping"});
  pool.serve_until([&] { return pool.calls.is_answered(last); });
  CHECK(outcome(pool.calls.answer(last)) == "\"pong\"");
  pool.daemon.stop();
}

TEST_CASE("code that a loader supplies is kept only as far as there is room") {
  FullPool pool;
  for (std::size_t i = 0; i < FullPool::kTooMany; ++i) {
    pool.calls.start({.module = fmt::format("large{}", i), .function = "ping", .timeout = std::chrono::hours(1)});
  }
  pool.client.run_once(milliseconds(0));
  pool.serve_until([&] { return pool.calls.count("overloaded") > 0; });
  const std::size_t refused = pool.calls.count("overloaded");
  constexpr std::size_t kRoomOfUser = (std::size_t{192} << 20) / FullPool::kLarge;
  CHECK(refused <= FullPool::kTooMany - kRoomOfUser);
  pool.calls.cancel(0);
  pool.serve_until([&] { return pool.calls.order().size() == pool.calls.size(); });
  CHECK(pool.calls.count("result") == FullPool::kTooMany - pool.calls.count("overloaded"));
  pool.daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
