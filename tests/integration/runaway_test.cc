// Code that does not end. Whatever the loop is made of, its caller learns where it was, other modules are served in the
// meantime, and the module's next call gets a fresh process.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

const Module kBystander{"bystander", "exports.ping = () => 'pong';"};
const std::vector<std::string> kStretch = {"--stretch", "200ms"};

// Calls spin() of a module with this code, checks what holds for every loop, and returns the error.
ipc::Error stopped(const std::string& code) {
  Daemon daemon({.modules = {{"spinner", code + "\nexports.ping = () => 'pong';"}, kBystander}, .flags = kStretch});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  const pid_t spinner = worker_of(client, "spinner").pid;
  const pid_t bystander = worker_of(client, "bystander").pid;

  Calls calls(client);
  calls.start({"spinner", "spin"});
  std::size_t pings = 0;
  while (!calls.is_answered(0)) {
    CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
    ++pings;
  }
  CHECK(pings > 1);

  const auto error = error_of(calls.answer(0));
  CHECK(ipc::to_string(error.code) == "cpu_exceeded");
  CHECK(contains(error.message, "200ms"));
  CHECK(error.executed == ipc::Executed::maybe);
  CHECK_FALSE(error.retryable);

  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "spinner").pid != spinner);
  CHECK(worker_of(client, "bystander").pid == bystander);
  CHECK(eventually([&] { return !is_running(spinner); }));
  daemon.stop();
  return error;
}

TEST_CASE("while (true) three functions deep is stopped, and every function is named with its line") {
  const auto error = stopped(R"js(
function step() {
  while (true) {}
}
function explore() { return step(); }
exports.spin = async function search() { return explore(); };
)js");
  CHECK(contains(error.stack, "at step (spinner-v1.js:3:"));
  CHECK(contains(error.stack, "at explore (spinner-v1.js:5:"));
  CHECK(contains(error.stack, "at search (spinner-v1.js:6:"));
}

TEST_CASE("a loop that is optimised to machine code is stopped") {
  const auto error = stopped(R"js(
exports.spin = function spin() { let x = 0; for (let i = 0; ; i = (i + 1) | 0) { x = (x * 31 + i) | 0; } };
)js");
  CHECK(contains(error.stack, "at spin (spinner-v1.js:2:"));
}

TEST_CASE("a regular expression that backtracks for ever is stopped") {
  const auto error = stopped(R"js(
exports.spin = function match() { return /^(a+)+$/.test('a'.repeat(60) + 'b'); };
)js");
  CHECK(contains(error.stack, "spinner-v1.js:2:"));
}

TEST_CASE("JSON.stringify of something huge is stopped") {
  const auto error = stopped(R"js(
exports.spin = function write() {
  let tree = [1, 2, 3];
  for (let i = 0; i < 60; i++) tree = [tree, tree];
  return JSON.stringify(tree).length;
};
)js");
  CHECK(contains(error.stack, "spinner-v1.js:5:"));
}

TEST_CASE("a result that is huge as JSON is stopped while it is written") {
  const auto error = stopped(R"js(
exports.spin = () => {
  let tree = [1, 2, 3];
  for (let i = 0; i < 60; i++) tree = [tree, tree];
  return tree;
};
)js");
  CHECK(contains(error.message, "(there is no stack: it was stopped while a result was encoded)"));
}

TEST_CASE("an endless chain of promises is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => { const again = () => Promise.resolve().then(again); return again(); };
)js");
  CHECK(contains(error.stack, "spinner-v1.js:2:"));
}

TEST_CASE("an endless chain of microtasks is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => { const again = () => queueMicrotask(again); again(); return new Promise(() => {}); };
)js");
  CHECK(contains(error.stack, "spinner-v1.js:2:"));
}

// Each loop spends its time in V8's own code, which resumes functions and settles promises, and has its functions on
// the stack only for moments.
TEST_CASE("a loop of awaits, of promises or of microtasks is stopped, with a function and its line, in each profile") {
  const std::pair<const char*, const char*> loops[] = {
      {"exports.nothing = async () => { while (true) await null; };", "at exports.nothing (spinner-v1.js:"},
      {"exports.waits = async () => { let ready; setTimeout(() => { ready = true; }, 1); while (!ready) await null; };",
       "at exports.waits (spinner-v1.js:"},
      {"const tick = async () => {}; exports.ticks = async () => { for (;;) await tick(); };", "(spinner-v1.js:"},
      {"const deep = async (n) => { if (n) await deep(n - 1); }; exports.deep = async () => { for (;;) await deep(5); "
       "};",
       "deep (spinner-v1.js:"},
      {"exports.generated = async () => { for await (const x of (async function* () { for (;;) yield 1; })()); };",
       "(spinner-v1.js:"},
      {"exports.iterated = async () => { for await (const x of (function* () { for (;;) yield 1; })()); };",
       "(spinner-v1.js:"},
      {"exports.stream = async () => { for await (const x of new ReadableStream({ pull(c) { c.enqueue(1); } })); };",
       "(spinner-v1.js:"},
      {"const chain = (n) => Promise.resolve(n + 1).then(chain); exports.chain = () => chain(0);",
       "at chain (spinner-v1.js:"},
      {"const native = () => Promise.resolve(1).then(Number).then(native); exports.native = () => native();",
       "(spinner-v1.js:"},
      {"exports.races = async () => { for (;;) await Promise.race([1, Promise.resolve()]); };", "(spinner-v1.js:"},
      {"exports.rejects = async () => { for (;;) try { await Promise.reject(1); } catch {} };",
       "at exports.rejects (spinner-v1.js:"},
      {"exports.thenable = async () => { for (;;) await { then(f) { f(); } }; };", "(spinner-v1.js:"},
      {"const queued = () => queueMicrotask(queued); exports.queued = () => { queued(); return new Promise(() => {}); "
       "};",
       "at queued (spinner-v1.js:"},
      {"const nested = () => queueMicrotask(() => { Promise.resolve().then(nested); }); exports.nested = () => { "
       "nested(); "
       "return new Promise(() => {}); };",
       "(spinner-v1.js:"},
  };
  std::string code;
  for (const auto& [line, place] : loops) code += std::string(line) + "\n";
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"spinner", code}}, .flags = {"--stretch", "100ms", "--profile", profile}});
    ipc::Client client = daemon.connect();
    for (const auto& [line, place] : loops) {
      const std::string text = line;
      const std::size_t begin = text.find("exports.") + 8;
      const std::string function = text.substr(begin, text.find(' ', begin) - begin);
      CAPTURE(profile);
      CAPTURE(function);
      const auto error = error_of(call(client, {"spinner", function}));
      CAPTURE(error.message);
      CHECK(ipc::to_string(error.code) == "cpu_exceeded");
      CHECK(contains(error.stack, place));
      CHECK_FALSE(contains(error.message, "no stack"));
    }
    daemon.stop();
  }
}

TEST_CASE("the error about a loop without functions of the module says what looped") {
  // A microtask that queues itself and consists of built-in functions only.
  constexpr const char* kCode = R"js(
exports.spin = () => {
  const list = [];
  const again = Reflect.apply.bind(undefined, queueMicrotask, undefined, list);
  list[0] = again;
  again();
  return new Promise(() => {});
};
)js";
  for (const char* profile : kProfiles) {
    Daemon daemon({.modules = {{"spinner", kCode}}, .flags = {"--stretch", "100ms", "--profile", profile}});
    ipc::Client client = daemon.connect();
    const auto error = error_of(call(client, {"spinner", "spin"}));
    CHECK(ipc::to_string(error.code) == "cpu_exceeded");
    CHECK(error.stack == "");
    CHECK(contains(error.message, "(there is no stack: it was stopped between two microtasks)"));
    CHECK_FALSE(contains(error.message, "killed"));
    daemon.stop();
  }
}

TEST_CASE("a deadline within a loop of awaits is told with the loop's line") {
  Daemon daemon(
      {.modules = {{"spinner", "exports.spin = async () => {\n  for (;;) await null;\n};\nexports.ping = () => 1;"}},
       .flags = {"--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  // Loads the module first, so that the call is on the CPU at its deadline.
  CHECK(outcome(call(client, {"spinner", "ping"})) == "1");
  // On a busy machine the worker may be killed before it can report the place of the loop.
  bool was_told = false;
  for (int i = 0; i < 20 && !was_told; ++i) {
    const auto error =
        error_of(call(client, {.module = "spinner", .function = "spin", .timeout = std::chrono::seconds(1)}));
    CHECK(ipc::to_string(error.code) == "deadline_exceeded");
    was_told = contains(error.stack, "at exports.spin (spinner-v1.js:2:");
  }
  CHECK(was_told);
}

TEST_CASE("a getter that loops, of the result, is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => ({ get value() { while (true) {} } });
)js");
  CHECK(contains(error.stack, "get value (spinner-v1.js:2:"));
}

TEST_CASE("a Proxy whose trap loops is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => new Proxy({}, { ownKeys: function ownKeysTrap() { while (true) {} } });
)js");
  CHECK(contains(error.stack, "ownKeysTrap (spinner-v1.js:2:"));
}

TEST_CASE("a toJSON that loops is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => ({ toJSON() { while (true) {} } });
)js");
  CHECK(contains(error.stack, "toJSON (spinner-v1.js:2:"));
}

TEST_CASE("a then that loops is stopped") {
  const auto error = stopped(R"js(
exports.spin = () => ({ then() { while (true) {} } });
)js");
  CHECK(contains(error.stack, "then (spinner-v1.js:2:"));
}

TEST_CASE("an error whose stack loops when it is read is stopped") {
  const auto error = stopped(R"js(
function stackTrap() { while (true) {} }
exports.spin = () => { throw Object.defineProperty(new Error('x'), 'stack', { get: stackTrap }); };
)js");
  CHECK(contains(error.stack, "stackTrap (spinner-v1.js:2:"));
}

TEST_CASE("a comparator that loops is stopped") {
  const auto error = stopped(R"js(
exports.spin = function sorting() { return [3, 1, 2].sort(function compare() { while (true) {} }); };
)js");
  CHECK(contains(error.stack, "compare (spinner-v1.js:2:"));
  CHECK(contains(error.stack, "spinner-v1.js:2:"));
}

TEST_CASE("a loop that catches everything is stopped") {
  stopped(R"js(
exports.spin = () => { while (true) { try { while (true) {} } catch {} finally { continue; } } };
)js");
}

TEST_CASE("a loop after an await is stopped as the call that it belongs to") {
  const auto error = stopped(R"js(
function late() { while (true) {} }
exports.spin = async () => { await new Promise((resolve) => setTimeout(resolve, 5)); late(); };
)js");
  CHECK(contains(error.stack, "late (spinner-v1.js:2:"));
}

TEST_CASE("a loop in WebAssembly is stopped") {
  // (func (export "f") loop br 0 end)
  const auto error = stopped(R"js(
const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 9,
                              1, 7, 0, 3, 64, 12, 0, 11, 11]);
const { f } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
exports.spin = function caller() { f(); };
)js");
  CHECK(contains(error.stack, "spinner-v1.js:5:"));
}

TEST_CASE("a builtin that V8 does not interrupt is killed and the message says that there is no stack") {
  const auto error = stopped(R"js(
exports.spin = () => Array.prototype.indexOf.call({ length: Number.MAX_SAFE_INTEGER }, 1);
)js");
  CHECK(error.stack == "");
  CHECK(contains(error.message, "no stack"));
}

TEST_CASE("a loop in a timer after its call was answered is stopped; the next call finds a fresh process") {
  Daemon daemon({.modules = {{"spinner", R"js(
exports.spin = () => { setTimeout(function late() { while (true) {} }, 1); return 'answered'; };
exports.ping = () => 'pong';
)js"},
                             kBystander},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "spin"})) == "\"answered\"");
  const pid_t spinner = worker_of(client, "spinner").pid;
  CHECK(outcome(call(client, {"bystander", "ping"})) == "\"pong\"");
  // This call may come before, while or after the loop is stopped: the looping worker does not start it.
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(eventually([&] { return !is_running(spinner); }));
  CHECK(outcome(call(client, {"spinner", "ping"})) == "\"pong\"");
  CHECK(worker_of(client, "spinner").pid != spinner);
  CHECK(daemon.logged("200ms"));
  daemon.stop();
}

TEST_CASE("a call that was answered stays answered, whatever is due behind it") {
  Daemon daemon({.modules = {{"spinner", R"js(
exports.spin = () => {
  setTimeout(() => Array.prototype.indexOf.call({ length: Number.MAX_SAFE_INTEGER }, 1), 0);
  return 'answered';
};
)js"}},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 3; ++i) CHECK(outcome(call(client, {"spinner", "spin"})) == "\"answered\"");
  daemon.stop();
}

TEST_CASE("an interval that never sleeps keeps its worker busy and the module is still served") {
  Daemon daemon({.modules = {{"spinner", R"js(
exports.spin = () => { const again = () => setTimeout(again, 0); again(); return 'answered'; };
exports.ping = () => 'pong';
)js"}},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"spinner", "spin"})) == "\"answered\"");
  const pid_t spinner = worker_of(client, "spinner").pid;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(outcome(call(client, {.module = "spinner", .function = "ping", .timeout = std::chrono::seconds(5)})) ==
            "\"pong\"");
  }
  CHECK(worker_of(client, "spinner").pid == spinner);
  daemon.stop();
}

// --- bystanders: other calls on the worker that is stopped ----------------------------------------------------------

TEST_CASE("of the calls on a worker that is stopped for one of them, those that were started may be repeated") {
  Daemon daemon({.modules = {{"shared", R"js(
exports.hold = () => new Promise(() => {});
exports.spin = () => { while (true) {} };
exports.ping = () => 'pong';
)js"}},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (int i = 0; i < 10; ++i) calls.start({"shared", "hold"});
  const auto guilty = calls.start({"shared", "spin"});
  CHECK(code_of(calls.wait_for(guilty)) == "cpu_exceeded");
  calls.wait_for_all();
  for (std::size_t i = 0; i < 10; ++i) {
    const auto error = error_of(calls.answer(i));
    CHECK(error.code == ipc::ErrorCode::worker_crashed);
    CHECK(error.executed == ipc::Executed::maybe);
    CHECK(error.retryable);
    CHECK(contains(error.message, "\"spin\""));
    CHECK(contains(error.detail, "cpu_exceeded"));
  }
  CHECK(outcome(call(client, {"shared", "ping"})) == "\"pong\"");
}

TEST_CASE("calls that a stopped worker had not started are run by the next one, each once") {
  Daemon daemon({.modules = {{"shared", R"js(
exports.spin = () => { while (true) {} };
exports.echo = (value) => { console.log(`ran ${value}.`); return value; };
)js"}},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  const auto guilty = calls.start({"shared", "spin"});
  constexpr std::size_t kBehind = 300;  // more than a worker gets at a time
  for (std::size_t i = 0; i < kBehind; ++i) calls.start({"shared", "echo", std::to_string(1000 + i)});
  calls.wait_for_all();
  CHECK(code_of(calls.answer(guilty)) == "cpu_exceeded");
  for (std::size_t i = 0; i < kBehind; ++i) CHECK(outcome(calls.answer(1 + i)) == std::to_string(1000 + i));
  CHECK(calls.order().size() == kBehind + 1);
  daemon.stop();
  const std::string log = daemon.log();
  for (std::size_t i = 0; i < kBehind; ++i) {
    const std::string line = fmt::format("ran {}.", 1000 + i);
    const std::size_t first = log.find(line);
    CHECK(first != std::string::npos);
    CHECK(log.find(line, first + 1) == std::string::npos);
  }
}

TEST_CASE("answers that were ready before the loop are delivered") {
  Daemon daemon({.modules = {{"shared", R"js(
let resolve;
exports.hold = () => new Promise((done) => { resolve = done; });
exports.spin = async () => { resolve('ready'); await null; while (true) {} };
)js"}},
                 .flags = kStretch});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"shared", "hold"});
  calls.start({"shared", "spin"});
  calls.wait_for_all();
  CHECK(outcome(calls.answer(0)) == "\"ready\"");
  CHECK(code_of(calls.answer(1)) == "cpu_exceeded");
}

TEST_CASE("calls between runaway calls of their module are answered, or are told that they were never started") {
  Daemon daemon({.modules = {{"spinner", "exports.spin = () => { while (true) {} }; exports.ping = () => 'pong';"}},
                 .flags = {"--stretch", "20ms"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr std::size_t kPairs = 6;
  for (std::size_t i = 0; i < kPairs; ++i) {
    calls.start({"spinner", "spin"});
    calls.start({"spinner", "ping"});
  }
  calls.wait_for_all();
  for (std::size_t i = 0; i < 2 * kPairs; ++i) {
    const ipc::Answer& answer = calls.answer(i);
    if (answer) {
      CHECK(i % 2 == 1);
    } else if (answer.error().code == ipc::ErrorCode::cpu_exceeded) {
      CHECK(i % 2 == 0);
    } else {
      CHECK(answer.error().code == ipc::ErrorCode::worker_crashed);
      CHECK(answer.error().executed == ipc::Executed::no);
      CHECK(answer.error().retryable);
    }
  }
  CHECK(code_of(calls.answer(0)) == "cpu_exceeded");
  CHECK(outcome(calls.answer(1)) == "\"pong\"");
  // The module may be held off for a while by then.
  CHECK(eventually([&] { return outcome(call(client, {"spinner", "ping"})) == "\"pong\""; }));
}

}  // namespace
}  // namespace holdfast::test
