// Modules that look for traces of each other: in globals, in memory, in random numbers, in counters. A module must find
// what it would find if it were alone.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

json result(ipc::Client& client, const CallTo& to) {
  const ipc::Answer answer = call(client, to);
  REQUIRE_MESSAGE(answer.has_value(), outcome(answer));
  return json::parse(answer->payload);
}

// Kills the module's worker, and waits until it is gone.
void end_worker_of(ipc::Client& client, const std::string& module) {
  const pid_t pid = worker_of(client, module).pid;
  ::kill(pid, SIGKILL);
  REQUIRE(eventually([&] { return !is_running(pid); }));
}

// `mark` leaves traces wherever JavaScript can; `see` returns everything that it finds, except clocks and random
// numbers.
constexpr const char* kTracker = R"js(
    let kept;
    exports.mark = () => {
      globalThis.trace = 'global';
      Object.prototype.trace = 'object';
      Array.prototype.trace = Function.prototype.trace = Promise.trace = 'prototype';
      Symbol.for('trace').constructor.trace = 'symbol';
      console.trace.trace = require.trace = setTimeout.trace = 'function';
      Math.trace = JSON.trace = Intl.trace = WebAssembly.trace = 'namespace';
      Error.stackTraceLimit = 3; Error.prepareStackTrace = () => 'prepared';
      /(tr)(ace)/.exec('a trace of a match');
      Intl.DateTimeFormat.trace = Intl.DateTimeFormat.prototype.trace = 'trace';
      Date.prototype.getTimezoneOffset = () => 77;
      for (let i = 0; i < 100; i++) setTimeout(() => {}, 1e8);
      kept = new Uint8Array(1 << 20).fill(0x74);
      try { Object.freeze(Map.prototype); } catch {}
    };
    exports.see = () => {
      const seen = new Set(), paths = [];
      (function walk(value, path) {
        if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value)) return;
        seen.add(value);
        paths.push(`${path} ${Object.isExtensible(value)}`);
        for (const key of Reflect.ownKeys(value)) {
          const { value: data, get, set } = Object.getOwnPropertyDescriptor(value, key);
          const here = `${path}.${String(key)}`;
          if (typeof data === 'string' || typeof data === 'number') paths.push(`${here} ${data}`);
          walk(data, here); walk(get, `${here} get`); walk(set, `${here} set`);
        }
        walk(Object.getPrototypeOf(value), `${path} above`);
      })(globalThis, '');
      return { paths, timer: setTimeout(() => {}, 1e8), offset: new Date(0).getTimezoneOffset(),
               options: new Intl.DateTimeFormat().resolvedOptions(), stack: new Error('e').stack.split('\n').length,
               match: [RegExp.lastMatch, RegExp.input, RegExp.leftContext, RegExp.$1, RegExp.$2],
               symbol: String(Symbol.for('trace')) };
    };
)js";

TEST_CASE("what a module sees does not depend on other modules or its other versions or its former workers") {
  Daemon daemon({.modules = {{"one", kTracker}, {"two", kTracker}, {"one", kTracker, "v2"}, {"alone", kTracker}}});
  ipc::Client client = daemon.connect();
  const json alone = result(client, {"alone", "see"});
  CHECK(alone["paths"].size() > 500);

  call(client, {"one", "mark"});
  CHECK(result(client, {"one", "see"}) != alone);  // it sees its own traces
  CHECK(result(client, {"two", "see"}) == alone);
  CHECK(result(client, {.module = "one", .function = "see", .version = "v2"}) == alone);
  const pid_t before = worker_of(client, "two").pid;
  call(client, {"two", "mark"});
  end_worker_of(client, "two");
  CHECK(result(client, {"two", "see"}) == alone);
  CHECK(worker_of(client, "two").pid != before);
  daemon.stop();
}

TEST_CASE("a module sees the same in a standby worker and in a worker that was forked for it") {
  json seen[2];
  for (int standby : {0, 1}) {
    Daemon daemon({.modules = {{"one", kTracker}}, .flags = {"--standby", std::to_string(standby)}});
    ipc::Client client = daemon.connect();
    if (standby == 1) {
      REQUIRE(workers_become(
          client, [](const auto& all) { return all.size() == 1 && all.front().state == ipc::WorkerState::standby; }));
    }
    seen[standby] = result(client, {"one", "see"});
  }
  CHECK(seen[0] == seen[1]);
}

// --- randomness and names ------------------------------------------------------------------------------------------

TEST_CASE("no two of 250 workers draw the same random numbers or the same request tags") {
  constexpr int kWorkers = 250;
  constexpr const char* kDrawer = R"js(
      const atLoad = [Math.random(), Math.random()];
      exports.draw = (payload, context) => {
        const numbers = [...atLoad];
        for (let i = 0; i < 130; i++) numbers.push(Math.random());  // more than V8 makes at a time
        return { numbers, tag: context.requestId.split('-')[0] };
      };
  )js";
  std::vector<Module> modules;
  for (int i = 0; i < kWorkers; ++i) modules.push_back({fmt::format("m{}", i), kDrawer});
  // Half of the workers waited on standby, the other half are forked for the call.
  std::set<double> numbers;
  std::set<std::string> tags;
  std::set<pid_t> pids;
  std::size_t drawn = 0;
  for (const std::string standby : {"0", "3"}) {
    Daemon daemon({.modules = modules, .flags = {"--max-workers", "8", "--standby", standby}});
    ipc::Client client = daemon.connect();
    for (int i = standby == "0" ? 0 : kWorkers / 2; i < (standby == "0" ? kWorkers / 2 : kWorkers); ++i) {
      const json draw = result(client, {fmt::format("m{}", i), "draw"});
      for (const auto& number : draw["numbers"]) numbers.insert(number.get<double>());
      drawn += draw["numbers"].size();
      tags.insert(draw["tag"].get<std::string>());
    }
  }
  CHECK(drawn == kWorkers * 132);
  CHECK(numbers.size() == drawn);
  CHECK(tags.size() == kWorkers);
}

TEST_CASE("a module cannot tell from its request ids how many calls others got") {
  constexpr const char* kNames = "exports.name = (payload, context) => context.requestId;";
  Daemon daemon({.modules = {{"one", kNames}, {"two", kNames}}});
  ipc::Client client = daemon.connect();
  const std::string first = result(client, {"one", "name"});
  for (int i = 0; i < 100; ++i) call(client, {"two", "name"});
  const std::string second = result(client, {"one", "name"});
  const std::string tag = first.substr(0, 16);
  CHECK(first == tag + "-1");
  CHECK(second == tag + "-2");
  CHECK(result(client, {"two", "name"}).get<std::string>().substr(0, 16) != tag);
  end_worker_of(client, "one");
  const std::string third = result(client, {"one", "name"});
  CHECK(third.ends_with("-1"));
  CHECK_FALSE(third.starts_with(tag));
}

TEST_CASE("the ids of timers begin alike in every worker and count only its own") {
  constexpr const char* kTimers =
      "exports.set = () => { const id = setTimeout(() => {}, 0); clearTimeout(id); return id; };";
  Daemon daemon({.modules = {{"one", kTimers}, {"two", kTimers}}});
  ipc::Client client = daemon.connect();
  CHECK(result(client, {"one", "set"}) == 1);
  CHECK(result(client, {"one", "set"}) == 2);
  CHECK(result(client, {"two", "set"}) == 1);
}

// --- memory --------------------------------------------------------------------------------------------------------

TEST_CASE("memory that JavaScript gets is zero even if it held bytes of others before") {
  Daemon daemon({.modules = {{"reader", R"js(
      const sizes = [1, 7, 8, 64, 100, 1000, 4096, 65536, 1 << 20, 6 << 20];
      const dirty = (bytes) => { for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return true; return false; };
      exports.read = () => {
        const found = [];
        for (let round = 0; round < 6; round++) {
          for (const size of sizes) {
            const bytes = new Uint8Array(size);
            if (dirty(bytes)) found.push(['array', size]);
            if (dirty(new Uint8Array(bytes.buffer.slice(0)))) found.push(['slice', size]);
            if (dirty(new Uint8Array(new Float64Array(size >> 3).buffer))) found.push(['floats', size]);
            bytes.fill(0xff);
          }
          const memory = new WebAssembly.Memory({ initial: 1, maximum: 20 });
          if (dirty(new Uint8Array(memory.buffer))) found.push('memory');
          memory.grow(4);
          if (dirty(new Uint8Array(memory.buffer))) found.push('grown');
          new Uint8Array(memory.buffer).fill(0xff);
        }
        return found;
      };
  )js"}},
                 .flags = {"--stretch", "30s"}});
  ipc::Client client = daemon.connect();
  for (int i = 0; i < 3; ++i) CHECK(result(client, {"reader", "read"}) == json::array());
}

// Whether the process has these bytes in memory that it can read or write (proc(5), "mem").
bool has_in_memory(pid_t pid, const std::string& bytes) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  std::ifstream memory(fmt::format("/proc/{}/mem", pid), std::ios::binary);
  REQUIRE(maps.good());
  REQUIRE(memory.good());
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0, end = 0;
    char dash = 0;
    std::string rights;
    std::istringstream(line) >> std::hex >> begin >> dash >> end >> rights;
    if (rights.size() < 2 || rights[0] != 'r' || contains(line, "[v")) continue;
    std::string content(end - begin, '\0');
    memory.clear();
    memory.seekg(static_cast<std::streamoff>(begin));
    memory.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(std::max<std::streamsize>(memory.gcount(), 0)));
    if (contains(content, bytes)) return true;
  }
  return false;
}

TEST_CASE(
    "the source and payloads of a module are in no worker of another module and not in the zygote and its payloads not "
    "next" *
    needs_root()) {
  // Put together at run time, so that no process has the whole text by accident.
  const std::string secret = "Lob" + std::to_string(4711) + "ster", payload = "Her" + std::to_string(815) + "ring";
  Daemon daemon(
      {.modules = {{"secretive",
                    "const secret = '" + secret +
                        "'; exports.keep = (payload) => { globalThis.kept = payload; return secret.length; };"},
                   {"other", "exports.ping = (payload) => payload;"}},
       .flags = {"--standby", "2"}});
  ipc::Client client = daemon.connect();
  CHECK(result(client, {"other", "ping"}) == nullptr);
  CHECK(result(client, {"secretive", "keep", "\"" + payload + "\""}) == 11);
  const pid_t keeper = worker_of(client, "secretive").pid;
  CHECK(has_in_memory(keeper, secret));
  CHECK(has_in_memory(keeper, payload));
  end_worker_of(client, "secretive");
  CHECK(result(client, {"other", "ping"}) == nullptr);
  REQUIRE(workers_become(client, [](const auto& all) {
    return std::count_if(all.begin(), all.end(),
                         [](const auto& one) { return one.state == ipc::WorkerState::standby; }) == 2;
  }));
  std::vector<pid_t> others = daemon.workers();
  others.push_back(daemon.zygote());
  CHECK(others.size() == 4);
  for (pid_t pid : others) {
    CHECK_FALSE(has_in_memory(pid, secret));
    CHECK_FALSE(has_in_memory(pid, payload));
  }
  // The next worker of the same module has the source, but nothing of the earlier worker's payloads.
  CHECK(result(client, {"secretive", "keep", "\"nothing\""}) == 11);
  CHECK(has_in_memory(worker_of(client, "secretive").pid, secret));
  CHECK_FALSE(has_in_memory(worker_of(client, "secretive").pid, payload));
  daemon.stop();
}

}  // namespace
}  // namespace holdfast::test
