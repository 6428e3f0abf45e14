// Cancelled and overdue calls: what their functions learn, what these may still do, and how other calls fare.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <csignal>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using std::chrono::milliseconds;

// How many of a worker's 128 places for calls one connection may have.
constexpr std::size_t kPlaces = 98;

const Module kWatcher{"watcher", R"js(
    let watching = 0;
    const ended = [];
    exports.watch = async (name, { signal }) => {
      watching++;
      try {
        while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 1));
        signal.throwIfAborted();
      } finally {
        watching--;
        ended.push(`${name}: ${signal.reason.name}`);
      }
    };
    exports.watching = () => watching;
    exports.ended = () => ended;
)js"};

// Repeats the call until its outcome is `wanted`; false if that does not happen.
bool comes_to(ipc::Client& client, const CallTo& to, const std::string& wanted) {
  return eventually([&] { return outcome(call(client, to)) == wanted; });
}

// Runs the check in both profiles.
template <typename Check>
void in_each_profile(Check check) {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string(profile));
    check(std::string(profile));
  }
}

// --- what a function is told ---------------------------------------------------------------------------------------

TEST_CASE("a function learns from its signal why its call ended and leaves its loop and its finally runs") {
  in_each_profile([](const std::string& profile) {
    Daemon daemon({.modules = {kWatcher}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    const auto pid = [&] { return worker_of(client, "watcher").pid; };
    Calls calls(client);

    calls.start({"watcher", "watch", "\"message\""});
    REQUIRE(comes_to(client, {"watcher", "watching"}, "1"));
    const pid_t before = pid();
    calls.cancel(0);
    CHECK(code_of(calls.wait_for(0)) == "cancelled");
    CHECK(comes_to(client, {"watcher", "ended"}, R"(["message: AbortError"])"));

    calls.start({.module = "watcher", .function = "watch", .payload = "\"deadline\"", .timeout = milliseconds(200)});
    CHECK(code_of(calls.wait_for(1)) == "deadline_exceeded");
    CHECK(comes_to(client, {"watcher", "ended"}, R"(["message: AbortError","deadline: TimeoutError"])"));

    {
      ipc::Client leaving = daemon.connect();
      Calls left(leaving);
      left.start({"watcher", "watch", "\"left\""});
      leaving.run_once(milliseconds(0));
      REQUIRE(comes_to(client, {"watcher", "watching"}, "1"));
    }
    CHECK(comes_to(client, {"watcher", "ended"},
                   R"(["message: AbortError","deadline: TimeoutError","left: AbortError"])"));
    CHECK(outcome(call(client, {"watcher", "watching"})) == "0");
    CHECK(pid() == before);
    CHECK(worker_of(client, "watcher").calls_in_flight == 0);
    daemon.stop();
  });
}

TEST_CASE("a function that looks at its signal only after it was cancelled finds it aborted, with the reason") {
  Daemon daemon({.modules = {{"late", R"js(
      let open;
      const gate = new Promise((resolve) => { open = resolve; });
      const seen = [];
      let waiting = 0;
      exports.wait = async (payload, context) => {
        waiting++;
        await gate;
        seen.push(context.signal.reason?.name ?? 'none', context.signal.aborted, context.remainingTime() === 0);
      };
      exports.waiting = () => waiting;
      exports.look = () => { open(); return new Promise((resolve) => setTimeout(() => resolve(seen), 1)); };
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  REQUIRE(outcome(call(client, {"late", "waiting"})) == "0");
  calls.start({.module = "late", .function = "wait", .timeout = milliseconds(3000)});
  const auto cancelled = calls.start({"late", "wait"});
  const auto kept = calls.start({"late", "wait"});
  REQUIRE(outcome(call(client, {"late", "waiting"})) == "3");
  calls.cancel(cancelled);
  CHECK(code_of(calls.wait_for(0)) == "deadline_exceeded");
  CHECK(code_of(calls.wait_for(cancelled)) == "cancelled");
  CHECK(outcome(call(client, {"late", "look"})) ==
        R"(["TimeoutError",true,true,"AbortError",true,false,"none",false,false])");
  CHECK(outcome(calls.wait_for(kept)) == "null");
  daemon.stop();
}

TEST_CASE("a function knows its deadline and the time that remains, by its own clock") {
  for (const char* resolution : {"100us", "50ms"}) {
    CAPTURE(std::string(resolution));
    Daemon daemon({.modules = {{"timed", R"js(
        exports.f = async (payload, context) => {
          const begin = Date.now(), { deadline } = context;
          const atFirst = context.remainingTime();
          await new Promise((resolve) => setTimeout(resolve, 60));
          const remaining = context.remainingTime(), now = Date.now();
          return [Number.isInteger(deadline), deadline === context.deadline, deadline > begin, deadline <= begin + 20000,
                  atFirst <= 20000, remaining <= deadline - begin - 50 && remaining >= deadline - now, remaining < atFirst,
                  Object.keys(context)];
        };
    )js"}},
                   .flags = {"--clock-resolution", resolution}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {.module = "timed", .function = "f", .timeout = milliseconds(20'000)})) ==
          R"([true,true,true,true,true,true,true,["requestId","module","version","function"]])");
  }
}

// --- what it may do ------------------------------------------------------------------------------------------------

// Fills a worker with calls, cancels one, and checks that a further call gets its place.
void check_place_becomes_free(const std::string& function) {
  Daemon daemon({.modules = {{"full", R"js(
      let begun = 0;
      const begin = () => { if (++begun === 98) console.log('all its places are taken'); };
      exports.ignore = (payload, { signal }) => { begin(); return new Promise(() => { signal.aborted; }); };
      exports.heed = (payload, { signal }) => { begin(); return new Promise((resolve) => { signal.onabort = resolve; }); };
      exports.look = () => { begin(); return new Promise(() => {}); };
      exports.begun = () => begun;
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  CHECK(outcome(call(client, {"full", "begun"})) == "0");
  const pid_t before = worker_of(client, "full").pid;
  for (std::size_t i = 0; i < kPlaces; ++i) calls.start({"full", function});
  client.run_once(milliseconds(0));
  REQUIRE(daemon.logged("all its places are taken"));
  const auto waiting = calls.start({"full", "begun"});
  calls.cancel(0);
  CHECK(code_of(calls.wait_for(0)) == "cancelled");
  CHECK(outcome(calls.wait_for(waiting)) == std::to_string(kPlaces));
  CHECK(worker_of(client, "full").pid == before);
  CHECK(worker_of(client, "full").calls_in_flight == kPlaces - 1);
  for (std::size_t i = 1; i < kPlaces; ++i) calls.cancel(i);
  calls.wait_for_all();
  daemon.stop();
}

TEST_CASE("a function that ignores its signal delays no other call after the grace time and its worker goes on") {
  check_place_becomes_free("ignore");
}

TEST_CASE("a function that settles when its signal is aborted gives its place to the next call") {
  check_place_becomes_free("heed");
}

TEST_CASE("a function that never took its signal gives its place to the next call") {
  check_place_becomes_free("look");
}

TEST_CASE("a call that settles after it was cancelled, before the grace time or after it, is not answered twice") {
  Daemon daemon({.modules = {{"slow", R"js(
      const release = [];
      let held = 0, aborted = 0;
      exports.hold = (payload, { signal }) => new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => aborted++);
        release.push(resolve, reject);
        held++;
      });
      exports.held = () => held;
      exports.aborted = () => aborted;
      exports.release = () => { for (const settle of release.splice(0)) settle('x'.repeat(10)); };
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  for (std::size_t i = 0; i < 20; ++i) calls.start({"slow", "hold"});
  REQUIRE(outcome(call(client, {"slow", "held"})) == "20");
  for (std::size_t i = 0; i < 10; ++i) calls.cancel(i);
  REQUIRE(comes_to(client, {"slow", "aborted"}, "10"));
  call(client, {"slow", "release"});
  calls.wait_for_all();
  CHECK(calls.count("result") == 10);
  for (std::size_t i = 20; i < 30; ++i) calls.start({"slow", "hold"});
  REQUIRE(outcome(call(client, {"slow", "held"})) == "30");
  for (std::size_t i = 20; i < 30; ++i) calls.cancel(i);
  REQUIRE(comes_to(client, {"slow", "aborted"}, "20"));
  CHECK(workers_become(client, [](const auto& all) {
    return std::all_of(all.begin(), all.end(), [](const auto& worker) { return worker.calls_in_flight == 0; });
  }));
  call(client, {"slow", "release"});
  calls.wait_for_all();
  CHECK(calls.count("cancelled") == 20);
  // A second answer would have ended the worker.
  CHECK(outcome(call(client, {"slow", "aborted"})) == "20");
  daemon.stop();
}

// --- calls that were not begun -------------------------------------------------------------------------------------

const Module kCounter{"counter", R"js(
    let runs = 0;
    exports.busy = (millis) => { const end = Date.now() + millis; while (Date.now() < end); return 'done'; };
    exports.count = () => ++runs;
    exports.runs = () => runs;
)js"};

TEST_CASE("calls that are cancelled, or whose time is over, while they wait in their worker are never run") {
  Daemon daemon({.modules = {kCounter}, .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  CHECK(outcome(call(client, {"counter", "runs"})) == "0");
  const auto busy = calls.start({"counter", "busy", "600"});
  for (int i = 0; i < 10; ++i) {
    calls.start({.module = "counter", .function = "count", .timeout = milliseconds(i % 2 == 0 ? 100 : 0)});
  }
  for (std::size_t i = 2; i <= 10; i += 2) calls.cancel(i);
  for (std::size_t i = 2; i <= 10; i += 2) CHECK(code_of(calls.wait_for(i)) == "cancelled");
  for (std::size_t i = 1; i <= 10; i += 2) CHECK(code_of(calls.wait_for(i)) == "deadline_exceeded");
  CHECK_FALSE(calls.is_answered(busy));
  CHECK(outcome(calls.wait_for(busy)) == "\"done\"");
  CHECK(outcome(call(client, {"counter", "runs"})) == "0");
  CHECK(outcome(call(client, {"counter", "count"})) == "1");
  daemon.stop();
}

TEST_CASE("a worker runs no overdue call even if the supervisor does not tell it") {
  Daemon daemon({.modules = {kCounter}, .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  CHECK(outcome(call(client, {"counter", "runs"})) == "0");
  const pid_t worker = worker_of(client, "counter").pid;
  const auto state_becomes = [&](char state) {
    return eventually([&] { return status_field(worker, "State").starts_with(state); });
  };
  calls.start({"counter", "busy", "1000"});
  const auto late = calls.start({.module = "counter", .function = "count", .timeout = milliseconds(500)});
  client.run_once(milliseconds(0));
  REQUIRE(state_becomes('R'));
  daemon.signal(SIGSTOP);
  REQUIRE(state_becomes('S'));  // the worker has nothing left to do and waits for its socket
  daemon.signal(SIGCONT);
  CHECK(code_of(calls.wait_for(late)) == "deadline_exceeded");
  CHECK(outcome(calls.wait_for(0)) == "\"done\"");
  CHECK(outcome(call(client, {"counter", "runs"})) == "0");
  CHECK(worker_of(client, "counter").pid == worker);
  daemon.stop();
}

// --- hostile modules -----------------------------------------------------------------------------------------------

TEST_CASE("what listeners throw is logged under their call, and the others are called all the same") {
  Daemon daemon({.modules = {{"thrower", R"js(
      const seen = [];
      let ready = 0;
      exports.hold = (payload, { signal, requestId }) => new Promise((resolve) => {
        ready++;
        signal.addEventListener('abort', () => { throw new Error(`thrown by ${requestId}`); });
        signal.addEventListener('abort', { get handleEvent() { throw new Proxy({}, { get() { throw 1; } }); } });
        signal.addEventListener('abort', () => { seen.push('last'); Promise.reject(new Error('not handled')); });
      });
      exports.ready = () => ready;
      exports.seen = () => seen;
  )js"}}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  calls.start({"thrower", "hold"});
  REQUIRE(outcome(call(client, {"thrower", "ready"})) == "1");
  const pid_t before = worker_of(client, "thrower").pid;
  calls.cancel(0);
  CHECK(code_of(calls.wait_for(0)) == "cancelled");
  CHECK(comes_to(client, {"thrower", "seen"}, R"(["last"])"));
  CHECK(worker_of(client, "thrower").pid == before);
  REQUIRE(daemon.logged("not handled"));
  const std::string log = daemon.log();
  const std::string line = "uncaught in an event listener: Error: thrown by ";
  REQUIRE(contains(log, line));
  const std::string id =
      log.substr(log.find(line) + line.size(), log.find("\\n", log.find(line)) - log.find(line) - line.size());
  CHECK(contains(log, fmt::format("error thrower@v1 call {}: {}", id, line)));
  CHECK(contains(log, "uncaught in an event listener: a value"));
  CHECK(contains(log, fmt::format("call {}: unhandled promise rejection: Error: not handled", id)));
  CHECK_FALSE(contains(log, "holdfast:"));
  daemon.stop();
}

TEST_CASE("a listener that loops for ever is stopped and blamed on its call and other calls may be repeated") {
  in_each_profile([](const std::string& profile) {
    Daemon daemon({.modules = {{"looper", R"js(
        let ready = 0;
        exports.hold = () => new Promise(() => { ready++; });
        exports.hang = (payload, { signal }) => new Promise(() => {
          ready++;
          signal.addEventListener('abort', function spin() { while (true) {} });
        });
        exports.ready = () => ready;
    )js"}},
                   .flags = {"--stretch", "200ms", "--profile", profile}});
    ipc::Client client = daemon.connect();
    Calls calls(client);
    const auto held = calls.start({"looper", "hold"});
    const auto hanging = calls.start({"looper", "hang"});
    REQUIRE(outcome(call(client, {"looper", "ready"})) == "2");
    const pid_t before = worker_of(client, "looper").pid;
    calls.cancel(hanging);
    CHECK(code_of(calls.wait_for(hanging)) == "cancelled");
    const auto error = error_of(calls.wait_for(held));
    CHECK(error.code == ipc::ErrorCode::worker_crashed);
    CHECK(contains(error.message, "\"hang\""));
    CHECK(contains(error.detail, "cpu_exceeded"));
    CHECK(daemon.logged("200ms"));
    CHECK(outcome(call(client, {"looper", "ready"})) == "0");
    CHECK(worker_of(client, "looper").pid != before);
    daemon.stop();
  });
}

TEST_CASE("a module that breaks shared prototypes cannot break the cancellation of its other calls") {
  const char* kWorld = R"js(
      const { apply, ownKeys } = Reflect, { defineProperty, getOwnPropertyDescriptor } = Object;
      const listen = EventTarget.prototype.addEventListener, nameOf = getOwnPropertyDescriptor(DOMException.prototype, 'name').get;
      const reasonOf = getOwnPropertyDescriptor(AbortSignal.prototype, 'reason').get;
      const Waiting = Promise;
      let ready = 0, seen = '';
      exports.hold = (payload, context) => {
        const { signal } = context;
        apply(listen, signal, ['abort', () => { seen += `${apply(nameOf, apply(reasonOf, signal, []), [])} `; }]);
        ready++;
        return new Waiting(() => {});
      };
      exports.ready = () => ready;
      exports.seen = () => seen;
      const fail = () => { throw 'poison'; };
      const TYPES = [Object, Function, Array, Promise, Error, Set, Map, WeakRef, FinalizationRegistry, Event, EventTarget,
                     AbortSignal, AbortController, DOMException];
      const put = (holder, key, descriptor) => { try { defineProperty(holder, key, { __proto__: null, ...descriptor }); } catch {} };
      const each = (list, visit) => { for (let i = 0; i < list.length; i++) visit(list[i]); };
      const globals = ownKeys(globalThis), all = [];
      each(TYPES, (type) => each([type, type.prototype], (holder) => each(ownKeys(holder), (key) => {
        // Without its constructor, a promise is only a thenable for `await`, also for the one that waits for a call's
        // result.
        if (key === 'prototype' || key === '__proto__' || (holder === Promise.prototype && key === 'constructor')) return;
        all[all.length] = { holder, key };
      })));
  )js";
  const std::pair<const char*, const char*> kPoisons[] = {
      {"methods throw",
       "exports.poison = () => { each(all, ({ holder, key }) => put(holder, key, { value: fail })); };"},
      {"getters and setters throw",
       "exports.poison = () => { each(all, ({ holder, key }) => put(holder, key, { get: fail, set: fail })); };"},
      {"prototypes are exchanged", R"js(exports.poison = () => {
          const trap = new Proxy(function () {}, { get: fail, set: fail, has: fail, construct: fail, apply: fail });
          each(TYPES, (type) => { try { Object.setPrototypeOf(type, trap); } catch {} });
          each(TYPES, (type) => { if (type !== Object) Object.setPrototypeOf(type.prototype, null); });
          Object.setPrototypeOf(EventTarget.prototype, trap);
      };)js"},
      {"what descriptors, dictionaries and lists inherit", R"js(exports.poison = () => {
          each(['get', 'set', 'value', 'once', 'passive', 'capture', 'signal', 'strong', 'weak', 'reason', 'algorithms', 'changed',
                'target', 'type', 'handleEvent', 'requestId', 'module', 'version', 'function', 'deadline', 'bubbles', '0', '1'],
               (key) => put(Object.prototype, key, { get: fail, set: fail }));
          each([0, 1, 2, 3], (key) => put(Array.prototype, key, { get: fail, set: fail }));
      };)js"},
      {"globals are gone",
       "exports.poison = () => { each(globals, (key) => { try { delete globalThis[key]; } catch {} }); };"},
  };
  std::vector<Module> modules;
  for (const auto& [name, code] : kPoisons) {
    modules.push_back({fmt::format("m{}", modules.size()), fmt::format("{}\n{}", kWorld, code)});
  }
  Daemon daemon({.modules = modules});
  ipc::Client client = daemon.connect();
  for (std::size_t i = 0; i < modules.size(); ++i) {
    CAPTURE(std::string(kPoisons[i].first));
    const std::string& module = modules[i].name;
    Calls calls(client);
    for (std::size_t j = 0; j < 3; ++j) calls.start({module, "hold"});
    REQUIRE(outcome(call(client, {module, "ready"})) == "3");
    const pid_t before = worker_of(client, module).pid;
    CHECK(outcome(call(client, {module, "poison"})) == "null");
    for (std::size_t j = 0; j < 3; ++j)
      calls.start({.module = module, .function = "hold", .timeout = milliseconds(500)});
    CHECK(outcome(call(client, {module, "ready"})) == "6");
    for (std::size_t j = 0; j < 3; ++j) calls.cancel(j);
    calls.wait_for_all();
    CHECK(calls.count("cancelled") == 3);
    CHECK(calls.count("deadline_exceeded") == 3);
    CHECK(comes_to(client, {module, "seen"},
                   R"("AbortError AbortError AbortError TimeoutError TimeoutError TimeoutError ")"));
    CHECK(worker_of(client, module).pid == before);
  }
  daemon.stop();
}

// --- memory --------------------------------------------------------------------------------------------------------

// If each call left something behind, 100,000 calls would exceed the memory limit by far.
TEST_CASE(
    "a hundred thousand calls that listen to their signals and combine them with lasting ones leave no memory behind") {
  Daemon daemon({.modules = {{"listener", R"js(
      const lasting = new AbortController().signal;
      let calls = 0;
      exports.f = async (payload, context) => {
        const weight = new Array(200).fill(++calls);
        context.signal.addEventListener('abort', () => weight.length);
        const combined = AbortSignal.any([context.signal, lasting, AbortSignal.timeout(3600000)]);
        combined.own = weight;
        if (calls % 2 === 0) await null;
        return combined.aborted || context.remainingTime() === 0;
      };
      exports.calls = () => calls;
  )js"}},
                 .flags = {"--memory", "32MB"}});
  ipc::Client client = daemon.connect();
  constexpr std::size_t kCalls = 100'000;
  Calls calls(client);
  while (calls.size() < kCalls) {
    while (client.open_calls() < kPlaces && calls.size() < kCalls) calls.start({"listener", "f"});
    client.run_once();
  }
  calls.wait_for_all();
  CHECK(calls.count("result") == kCalls);
  CHECK(outcome(call(client, {"listener", "calls"})) == std::to_string(kCalls));
  daemon.stop();
}

TEST_CASE("tens of thousands of cancelled calls leave no memory behind") {
  Daemon daemon({.modules = {{"holder", R"js(
      let begun = 0;
      exports.hold = (payload, { signal }) => new Promise((resolve, reject) => {
        const weight = new Array(1000).fill(begun++);
        signal.addEventListener('abort', () => reject(weight));
      });
      exports.begun = () => begun;
  )js"}},
                 .flags = {"--memory", "32MB"}});
  ipc::Client client = daemon.connect();
  Calls calls(client);
  constexpr std::size_t kRounds = 112, kCalls = 90;
  for (std::size_t round = 1; round <= kRounds; ++round) {
    for (std::size_t i = 0; i < kCalls; ++i) calls.start({"holder", "hold"});
    REQUIRE(outcome(call(client, {"holder", "begun"})) == std::to_string(round * kCalls));
    for (std::size_t i = calls.size() - kCalls; i < calls.size(); ++i) calls.cancel(i);
    calls.wait_for_all();
  }
  CHECK(calls.count("cancelled") == kRounds * kCalls);
  CHECK(comes_to(client, {"holder", "begun"}, std::to_string(kRounds * kCalls)));
  daemon.stop();
}

TEST_CASE("a call for which a cancellation makes room begins at once") {
  const std::string code = R"js(
      exports.wait = (_, { signal }) => new Promise((resolve) => signal.addEventListener('abort', resolve));
      exports.ping = () => 'pong';
  )js";
  Daemon daemon({.modules = {{"holder", code}, {"other", code}},
                 .flags = {"--max-workers", "1", "--slice", "1ms", "--waiting-grace", "1h"}});
  ipc::Client client = daemon.connect();
  // The supervisor wakes up every half second in any case: a call that waits for that rarely takes less than 100 ms.
  constexpr int kRounds = 8;
  int begun_at_once = 0;
  for (int round = 0; round < kRounds; ++round) {
    Calls calls(client);
    const std::size_t held = calls.start({"holder", "wait"});
    REQUIRE(outcome(call(client, {"holder", "ping"})) == "\"pong\"");
    REQUIRE(eventually([&] { return stats_of(client, "holder").instances == 1; }));
    const std::size_t waiting = calls.start({"other", "ping"});
    REQUIRE(workers_become(client, [](const auto& all) {
      return std::any_of(all.begin(), all.end(),
                         [](const auto& one) { return one.state == ipc::WorkerState::draining; });
    }));
    const std::size_t behind = calls.start({"holder", "ping"});
    REQUIRE(stats_of(client, "holder").queued == 1);
    calls.cancel(waiting);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(outcome(calls.wait_for(behind)) == "\"pong\"");
    if (std::chrono::steady_clock::now() - begin < milliseconds(100)) ++begun_at_once;
    calls.cancel(held);
    calls.wait_for_all();
  }
  CHECK(begun_at_once >= kRounds - 2);
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
