// Memory limits apart from the ways to use memory up: at every limit, after a call, for payloads and while loading.
#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "tests/integration/memory_routes.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// --- other limits, and what a call leaves behind -------------------------------------------------------------------

const std::vector<Route> kOfEachKind = {
    {"objects", "while (true) all.push({ a: all.length });"},
    {"flattened", "let s = 'x'; for (let i = 0; i < 28; i++) s += s; s.charCodeAt(5);"},
    {"map", "const map = new Map(); for (let i = 0; ; i++) map.set(i, i);"},
    {"buffers", "while (true) all.push(new Uint8Array(1 << 20).fill(1));", kRangeError},
    {"wasm", "const m = new WebAssembly.Memory({ initial: 1 }); while (true) m.grow(16);", kRangeError},
    {"relative", "while (true) all.push(new Intl.RelativeTimeFormat('pl'));"},
};

TEST_CASE("at the least limit, and at larger ones, memory ends in the same ways") {
  check_routes(kOfEachKind, "", {"16MB", "64MB", "128MB"});
}

TEST_CASE("a module that used up its memory with buffers and gave them back can use it up in another way") {
  Daemon daemon({.modules = {module_of(kOfEachKind)}, .flags = {"--memory", "64MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  const auto pid = [&] { return worker_of(client, "glutton").pid; };
  CHECK(outcome(call(client, {"glutton", "ping"})) == "\"pong\"");
  const auto before = pid();
  for (int i = 0; i < 3; ++i) {
    CHECK(outcome(call(client, {"glutton", "buffers"})) == "\"RangeError\"");
    CHECK(outcome(call(client, {"glutton", "wasm"})) == "\"RangeError\"");
  }
  CHECK(pid() == before);
  CHECK(code_of(call(client, {"glutton", "flattened"})) == "out_of_memory");
}

TEST_CASE("a call that came near the limit and freed everything does not get the next call blamed") {
  Daemon daemon({.modules = {{"near", R"js(
      exports.large = () => new Array(3000000).fill(1);
      exports.ping = () => 'pong';
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"near", "ping"})) == "\"pong\"");
  const auto before = worker_of(client, "near").pid;
  for (int i = 0; i < 3; ++i) {
    const std::string large = outcome(call(client, {"near", "large"}));
    CAPTURE(large.substr(0, 300));
    CHECK(large.size() == 2 * 3000000 + 1);
    CHECK(outcome(call(client, {"near", "ping"})) == "\"pong\"");
  }
  CHECK(worker_of(client, "near").pid == before);
}

TEST_CASE("what a module keeps on the heap still counts after a call that came near the limit") {
  Daemon daemon({.modules = {{"keeper", R"js(
      const kept = [], buffers = [];
      let length;
      exports.keep = () => { for (let i = 0; i < 16; i++) kept.push(new Array(1 << 17).fill(i)); };
      // The buffer that is refused has V8 collect all garbage while `large` is in use. Nothing after that checks for
      // V8's interrupts, so that the worker looks at the memory again when the call has ended.
      exports.near = () => {
        const large = new Array(16 << 17).fill(1);
        try { new Uint8Array(64 << 20); } catch { /* as meant */ }
        length = large.length;
      };
      exports.buffers = () => {
        try { while (true) buffers.push(new Uint8Array(1 << 20)); } catch { return buffers.length; }
      };
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"keeper", "keep"})) == "null");
  const auto before = worker_of(client, "keeper").pid;
  CHECK(outcome(call(client, {"keeper", "near"})) == "null");
  // Half of the limit is left for array buffers.
  const std::string buffers = outcome(call(client, {"keeper", "buffers"}));
  CAPTURE(buffers);
  CHECK(std::stoi(buffers) >= 12);
  CHECK(std::stoi(buffers) <= 16);
  CHECK(worker_of(client, "keeper").pid == before);
}

TEST_CASE("no single object gets past the limit, however large it is at once") {
  Daemon daemon({.modules = {{"giant", R"js(
      exports.string = () => { globalThis.kept = 'x'.repeat(400 << 20); return kept.charCodeAt(100000); };
      exports.array = () => { globalThis.kept = new Array(50 << 20).fill(1.5); return kept.length; };
      exports.bigint = () => { globalThis.kept = 1n << (900n << 20n); return 1; };
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  for (const char* function : {"string", "array", "bigint"}) {
    CAPTURE(std::string_view(function));
    CHECK(code_of(call(client, {"giant", function})) == "out_of_memory");
  }
}

TEST_CASE("an object that V8 cannot have, at a limit that would allow it, is out_of_memory") {
  check_routes({{"characters", "'x'.repeat(2 ** 27 + 8).split('');"}}, "", {"600MB"});
}

TEST_CASE("heap, array buffers and WebAssembly's memory together stay within the limit and its headroom") {
  Daemon daemon({.modules = {{"hoarder", R"js(
      const kept = [];
      const fill = (take) => { try { while (true) kept.push(take()); } catch (error) { return error.name; } };
      exports.hoard = () => {
        for (let i = 0; i < 100000; i++) kept.push({ i });
        const memory = new WebAssembly.Memory({ initial: 1 });
        kept.push(memory);
        return [
          fill(() => memory.grow(16)), new Uint8Array(memory.buffer).fill(1).length > 0,
          fill(() => new Uint8Array(1 << 20).fill(1)), fill(() => new WebAssembly.Memory({ initial: 16 })),
        ];
      };
  )js"}},
                 .flags = {"--memory", "64MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"hoarder", "hoard"})) == R"(["RangeError",true,"RangeError","RangeError"])");
  // 32 MB of headroom in the account. Without root, memory that is shared with the zygote counts too.
  CHECK(worker_of(client, "hoarder").memory_bytes < std::uint64_t{64 + 32 + 64} << 20);
}

TEST_CASE("a process in which array buffers were refused goes on, and garbage is given back") {
  Daemon daemon({.modules = {{"buffers", R"js(
      exports.one = () => new Uint8Array(2 ** 32).length;
      exports.handled = () => { try { return new Uint8Array(40 << 20).length; } catch (error) { return error.name; } };
      exports.some = () => new Uint8Array(8 << 20).fill(1).length;
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"buffers", "some"})) == "8388608");
  const auto before = worker_of(client, "buffers").pid;
  CHECK(contains(outcome(call(client, {"buffers", "one"})), "exception: RangeError"));
  CHECK(outcome(call(client, {"buffers", "handled"})) == "\"RangeError\"");
  for (int i = 0; i < 20; ++i)
    CHECK(outcome(call(client, {"buffers", "some"})) == "8388608");  // the garbage has been freed
  CHECK(worker_of(client, "buffers").pid == before);
}

TEST_CASE("several WebAssembly memories without a maximum can be created and grown") {
  Daemon daemon({.modules = {{"memories", R"js(
      exports.grow = (initial) => {
        const memories = Array.from({ length: 5 }, () => new WebAssembly.Memory({ initial }));
        for (const memory of memories) memory.grow(2);
        return memories.map((memory) => memory.buffer.byteLength / 65536);
      };
  )js"}},
                 .flags = {"--memory", "32MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"memories", "grow", "0"})) == "[2,2,2,2,2]");
  CHECK(outcome(call(client, {"memories", "grow", "1"})) == "[3,3,3,3,3]");
  CHECK(outcome(call(client, {"memories", "grow", "16"})) == "[18,18,18,18,18]");
}

// --- payloads, results and loading ---------------------------------------------------------------------------------

constexpr std::size_t kMostPayload = std::size_t{16} << 20;

TEST_CASE("a payload or a result of the greatest size, at the least limit, ends cleanly") {
  Daemon daemon({.modules = {{"sizes", R"js(
      exports.length = (payload) => payload.length;
      exports.echo = (payload) => payload;
      exports.text = () => 'x'.repeat((16 << 20) - 2);
      exports.escaped = () => '\u0001'.repeat((16 << 20) / 6 - 2);
      exports.wide = () => '\u6f22'.repeat(5 << 20);
      exports.numbers = () => new Array(4 << 20).fill(12);
      exports.ping = () => 'pong';
  )js"}},
                 .flags = {"--memory", "16MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  std::string numbers = "[1";
  while (numbers.size() < kMostPayload - 3) numbers += ",1";
  numbers += "]";
  std::string objects = "[{}";
  while (objects.size() < kMostPayload - 16) objects += ",{\"a\":1}";
  objects += "]";
  const std::string text = "\"" + std::string(kMostPayload - 2, 'x') + "\"";
  const std::string nested = std::string(kMostPayload / 2, '[') + std::string(kMostPayload / 2, ']');
  for (const std::string& payload : {numbers, objects, text, nested}) {
    for (const char* function : {"length", "echo"}) {
      CAPTURE(std::string_view(function));
      CAPTURE(payload.substr(0, 10));
      const std::string end = code_of(call(client, {"sizes", function, payload}));
      CHECK((end == "result" || end == kOutOfMemory));
      CHECK(outcome(call(client, {"sizes", "ping"})) == "\"pong\"");
    }
  }
  for (const char* function : {"text", "escaped", "wide", "numbers"}) {
    CAPTURE(std::string_view(function));
    const std::string end = code_of(call(client, {"sizes", function}));
    CHECK((end == "result" || end == kOutOfMemory));
    CHECK(outcome(call(client, {"sizes", "ping"})) == "\"pong\"");
  }
}

TEST_CASE("a module that uses up its memory while it is loaded is out_of_memory, and nobody else notices") {
  std::string long_source = "exports.f = () => 1;\n";
  while (long_source.size() < (std::size_t{12} << 20)) {
    long_source +=
        "exports.f" + std::to_string(long_source.size()) + " = (a) => { const b = [a, 1, 'x']; return b; };\n";
  }
  std::vector<Module> modules = {{"bystander", "exports.f = () => 1;"}, {"source", long_source}};
  const std::vector<Route> routes = {
      {"objects", "const all = []; while (true) all.push({});"},
      {"strings", "let s = 'x'; for (let i = 0; i < 28; i++) s += s; s.charCodeAt(5);"},
      {"intl", "const all = []; while (true) all.push(new Intl.RelativeTimeFormat('pl'));"},
      {"microtasks", "const f = () => { queueMicrotask(f); queueMicrotask(f); }; f();"},
  };
  for (const Route& route : routes) modules.push_back({route.name, route.body});
  Daemon daemon({.modules = modules, .flags = {"--memory", "16MB", "--stretch", "1m"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"bystander", "f"})) == "1");
  const auto bystander = worker_of(client, "bystander").pid;
  for (const Route& route : routes) {
    CAPTURE(route.name);
    for (int i = 0; i < 2; ++i) {
      const auto error = error_of(call(client, {route.name, "f"}));
      CHECK(error.code == ipc::ErrorCode::load_failed);
      CHECK(error.detail == kOutOfMemory);
      CHECK(contains(error.message, "used up its memory limit of 16MB"));
    }
  }
  const auto answer = call(client, {"source", "f"});
  CHECK((outcome(answer) == "1" || error_of(answer).detail == kOutOfMemory));
  CHECK(outcome(call(client, {"bystander", "f"})) == "1");
  CHECK(worker_of(client, "bystander").pid == bystander);
}

}  // namespace
}  // namespace holdfast::test
