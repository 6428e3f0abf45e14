// JavaScript that takes all it can get: memory in every shape, time, stack, log, timers. Each call gets exactly one
// answer, and other modules are not affected. (Plain loops are in tests/integration/runaway_test.cc, plain heaps in
// limits_test.cc.)
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/adversarial/hostile.h"
#include "tests/support/processes.h"

namespace holdfast::test {
namespace {

const std::vector<std::string> kSmall = {"--memory", "32MB", "--stretch", "1s"};

// Runs each of these functions of `code` once, all in one daemon. Each may end with any of the codes.
void check_each_ends(const std::string& code, const std::vector<std::string>& functions,
                     std::initializer_list<const char*> codes, const std::vector<std::string>& flags = kSmall) {
  Ring ring(code, flags);
  for (const std::string& function : functions) {
    CAPTURE(function);
    ring.check_ends(function, codes);
    ring.check_unharmed();
  }
  ring.finish();
}

// --- memory --------------------------------------------------------------------------------------------------------

TEST_CASE("the longest strings of V8 end at most their own call wherever they are put") {
  check_each_ends(R"js(
      const huge = (letter = 'x') => letter.repeat(2 ** 29 - 24);  // V8's longest string; a rope until it is read
      exports.asResult = () => huge();
      exports.inResult = () => ({ a: [huge()] });
      exports.asKey = () => ({ [huge()]: 1 });
      exports.asMessage = () => { throw new Error(huge()); };
      exports.asName = () => { throw Object.assign(new Error('m'), { name: huge() }); };
      exports.asNameAndMessage = () => { throw Object.assign(new Error(huge()), { name: huge('y') }); };
      exports.asStack = () => { throw Object.assign(new Error('m'), { stack: huge() }); };
      exports.asStackOfLines = () => { throw Object.assign(new Error('m'), { stack: huge('\n    at ') }); };
      exports.asThrown = () => { throw huge(); };
      exports.asThrownInside = () => { throw { a: huge() }; };
      exports.asRejection = async () => { throw huge(); };
      exports.asUnhandled = () => { Promise.reject(new Error(huge())); };
      exports.inTimer = () => new Promise((resolve) => {
        setTimeout(() => { resolve(); throw new Error(huge()); }, 1);
      });
      exports.asLog = () => console.log(huge());
      exports.asLogOfError = () => console.log(new Error(huge()));
      exports.asSpecifier = () => require(huge());
      exports.asCallback = () => setTimeout(huge());
      exports.asDelay = () => setTimeout(() => {}, huge());
      exports.asSymbol = () => { throw Symbol(huge()); };
      exports.asPath = () => ({ [huge()]: 1n });
      exports.asExport = () => { exports[huge()] = 1; };
      exports.doubled = () => { for (let s = 'x'; ; s += s); };
      exports.joined = () => new Array(2 ** 32 - 1).join('x');
      exports.padded = () => 'x'.padEnd(2 ** 29 - 24, 'yz').length;
      exports.replaced = () => 'x'.repeat(1 << 20).replace(/x/g, "$`").length;
      exports.normalized = () => '\u1e9b\u0323'.repeat(1 << 22).normalize('NFKD').length;
      exports.split = () => 'x,'.repeat(1 << 24).split(',').length;
      exports.spread = () => [...'x'.repeat(1 << 26)].length;
  )js",
                  {"asResult", "inResult",       "asKey",        "asMessage",      "asName",      "asNameAndMessage",
                   "asStack",  "asStackOfLines", "asThrown",     "asThrownInside", "asRejection", "asUnhandled",
                   "inTimer",  "asLog",          "asLogOfError", "asSpecifier",    "asCallback",  "asDelay",
                   "asSymbol", "asPath",         "asExport",     "doubled",        "joined",      "padded",
                   "replaced", "normalized",     "split",        "spread"},
                  {"result", "exception", "out_of_memory", "cpu_exceeded", "payload_too_large", "not_serializable"});
}

TEST_CASE("memory in every shape of JavaScript is bounded and only its own module ends") {
  check_each_ends(R"js(
      exports.array = () => new Array(2 ** 32 - 1).fill(0).length;
      exports.from = () => Array.from({ length: 1e9 }, (_, i) => ({ i })).length;
      exports.sparse = () => { const a = []; for (let i = 0; ; i += 1e5) a[i] = { i }; };
      exports.keys = () => { const o = {}; for (let i = 0; ; i++) o['k' + i] = i; };
      exports.symbols = () => { const o = {}; for (let i = 0; ; i++) o[Symbol.for('s' + i)] = i; };
      exports.bigint = () => (2n ** (2n ** 29n)).toString().length;
      exports.bigints = () => { const all = []; for (let n = 3n; ; n *= n) all.push(n); };
      exports.views = () => { const all = []; for (;;) all.push(new Uint8Array(1)); };
      exports.buffers = () => { const all = []; for (;;) all.push(new ArrayBuffer(1 << 16)); };
      exports.weak = () => { const all = []; for (;;) { const o = {}; all.push(o, new WeakRef(o)); } };
      exports.registry = () => { const r = new FinalizationRegistry(() => {}); for (const all = [{}]; ; all.push({})) r.register(all.at(-1), 1); };
      exports.weakMap = () => { const map = new WeakMap(), all = []; for (;;) { const o = {}; all.push(o); map.set(o, o); } };
      exports.generators = () => { const all = []; for (;;) all.push((function* () { yield all; })()); };
      exports.bound = () => { let f = () => 1; for (;;) f = f.bind(null, f); };
      exports.expressions = () => { const all = []; for (let i = 0; ; i++) { const e = new RegExp('a{1,9}' + i); e.test('a'); all.push(e); } };
  )js",
                  {"array", "from", "sparse", "keys", "symbols", "bigint", "bigints", "views", "buffers", "weak",
                   "registry", "weakMap", "generators", "bound", "expressions"},
                  {"exception", "out_of_memory", "cpu_exceeded"});
}

TEST_CASE("memory that V8 or the worker takes on behalf of a module is bounded like its own") {
  check_each_ends(R"js(
      exports.dates = () => { const all = []; for (;;) all.push(new Intl.DateTimeFormat('de')); };
      exports.numbers = () => { const all = []; for (;;) all.push(new Intl.NumberFormat('de')); };
      exports.collators = () => { const all = []; for (;;) all.push(new Intl.Collator('de')); };
      exports.errors = () => { const all = []; for (;;) all.push(new Error('x' + all.length)); };
      exports.rejections = () => { for (;;) Promise.reject(new Error('nobody')); };
      exports.microtasks = () => { for (;;) queueMicrotask(() => {}); };
      exports.reactions = () => { const p = new Promise(() => {}); for (;;) p.then(() => {}); };
      exports.timers = () => { for (;;) setTimeout(() => {}, 1e6); };
      exports.intervals = () => { for (;;) setInterval(() => {}, 1e6); };
      exports.classes = () => { const all = []; for (;;) all.push(class A { static x = all; }); };
      exports.wasmMemories = () => { const all = []; for (;;) all.push(new WebAssembly.Memory({ initial: 1 })); };
      exports.wasmModules = () => { const all = []; const empty = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
                                    for (;;) all.push(new WebAssembly.Module(empty)); };
  )js",
                  {"dates", "numbers", "collators", "errors", "rejections", "microtasks", "reactions", "timers",
                   "intervals", "classes", "wasmMemories", "wasmModules"},
                  {"exception", "out_of_memory", "cpu_exceeded"});
}

// The peak of the worker's resident memory, in megabytes.
std::size_t most_megabytes(pid_t worker) { return std::stoul(status_field(worker, "VmHWM")) >> 10; }

TEST_CASE("whatever JavaScript does, its process never holds more than its limit and the headroom") {
  constexpr std::size_t kLimit = 32, kHeadroom = 96, kSharedWithZygote = 96;
  Ring ring(R"js(
      const huge = (letter) => letter.repeat(2 ** 29 - 24);
      exports.flattened = () => +huge('1');
      exports.flattenedWide = () => huge('\u2654').charCodeAt(7);
      exports.kept = () => { globalThis.kept = huge('x'); return kept[7]; };
      exports.bytes = () => new Uint8Array(2 ** 30).length;
      // Reserved, unused address space must not allow more memory: V8 reserves it for the maximum.
      exports.reserved = () => {
        const memory = new WebAssembly.Memory({ initial: 0, maximum: 12288 });
        try { memory.grow(8192); } catch { return 'refused'; }
        return new Uint8Array(memory.buffer).fill(1).length;
      };
  )js",
            kSmall);
  for (const std::string function : {"flattened", "flattenedWide", "kept", "bytes", "reserved"}) {
    CAPTURE(function);
    ring.check_ends(function, {"result", "exception", "out_of_memory", "cpu_exceeded"});
    ring.check_unharmed();
    CHECK(most_megabytes(worker_of(ring.client(), "hostile").pid) <= kLimit + kHeadroom + kSharedWithZygote);
  }
  CHECK(code_of(ring.call("flattened")) == "out_of_memory");
  CHECK(ring.outcome_of("reserved") == "\"refused\"");
  ring.finish();
}

// --- stack ---------------------------------------------------------------------------------------------------------

TEST_CASE("endless recursion is an exception whatever it goes through") {
  check_each_ends(R"js(
      exports.plain = () => { const f = () => 1 + f(); return f(); };
      exports.getter = () => { const o = { get a() { return this.a; } }; return o.a; };
      exports.resultGetter = () => { const o = { get a() { return this.a; } }; return o; };
      exports.proxy = () => { const p = new Proxy({}, { get(t, k, r) { return r[k]; } }); return p.a; };
      exports.proxyOfProxies = () => { let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); return p.a; };
      exports.prototypes = () => { let o = {}; for (let i = 0; i < 1e5; i++) o = Object.create(o); throw o; };
      exports.prototypeTraps = () => { let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); throw p; };
      exports.toJSON = () => ({ toJSON() { return JSON.stringify(this); } });
      exports.reviver = () => JSON.parse('[1]', function again(k, v) { return JSON.parse('[1]', again); });
      exports.replacer = () => JSON.stringify({ a: 1 }, function again(k, v) { return JSON.stringify(v, again); });
      exports.comparator = () => { const c = () => [2, 1].sort(c); return [2, 1].sort(c); };
      exports.deepResult = () => { let o = 1; for (let i = 0; i < 1e6; i++) o = [o]; return o; };
      exports.deepUnserializable = () => { let o = 1n; for (let i = 0; i < 1e5; i++) o = { o }; return o; };
      exports.deepParse = () => JSON.parse('['.repeat(1e6) + ']'.repeat(1e6));
      exports.deepThrown = () => { let o = 1; for (let i = 0; i < 1e6; i++) o = [o]; throw o; };
      exports.deepCause = () => { let e; for (let i = 0; i < 1e5; i++) e = new Error('e', { cause: e }); throw e; };
      exports.bound = () => { let f = () => 1; for (let i = 0; i < 1e5; i++) f = f.bind(); return f(); };
      exports.toStringing = () => { const o = { toString() { return `${o}`; } }; return `${o}`; };
      exports.flat = () => { const a = []; a.push(a); return a.flat(Infinity); };
      exports.concat = () => { let s = 'x'; for (let i = 0; i < 1e6; i++) s = `<${s}>`; return s === s.slice(1) + '>'; };
      exports.expression = () => new RegExp('('.repeat(1e5) + ')'.repeat(1e5)).test('x');
      exports.source = () => { class A extends (class { constructor() { new A(); } }) {} return new A(); };
      exports.logging = () => { const o = { toJSON() { console.log(o); return 1; } }; console.log(o); };
      exports.naming = () => { const e = new Error(); Object.defineProperty(e, 'name', { get() { console.log(e); return 'n'; } });
                               throw e; };
      exports.requiring = () => { const o = { toJSON() { require(o); } }; require(o); };
      exports.thenable = () => { const o = { then(resolve) { resolve(o); } }; return o; };
  )js",
                  {"plain",
                   "getter",
                   "resultGetter",
                   "proxy",
                   "proxyOfProxies",
                   "prototypes",
                   "prototypeTraps",
                   "toJSON",
                   "reviver",
                   "replacer",
                   "comparator",
                   "deepResult",
                   "deepUnserializable",
                   "deepParse",
                   "deepThrown",
                   "deepCause",
                   "bound",
                   "toStringing",
                   "flat",
                   "concat",
                   "expression",
                   "source",
                   "logging",
                   "naming",
                   "requiring",
                   "thenable"},
                  {"result", "exception", "not_serializable", "cpu_exceeded", "out_of_memory"});
}

TEST_CASE("an error with the longest possible stack is shown with its first frames") {
  Ring ring(R"js(
      Error.stackTraceLimit = Infinity;
      const deep = (left) => { if (left === 0) throw new Error('bottom'); return 1 + deep(left - 1); };
      exports.thrown = () => deep(3000);
      exports.counted = () => { try { deep(3000); } catch (error) { return error.stack.split('\n').length > 3000; } };
      exports.logged = () => { try { deep(3000); } catch (error) { console.error(error); } };
      // One error for each frame on the way up, each as long as the way: stopped, wherever it is.
      exports.many = () => { const f = () => { try { return f(); } catch { throw new Error('again'); } }; f(); };
  )js",
            kSmall);
  const auto error = error_of(ring.call("thrown"));
  CHECK(error.message == "Error: bottom");
  CHECK(contains(error.stack, "at deep (hostile-v1.js"));
  CHECK(error.stack.size() <= 16 << 10);
  CHECK(ring.outcome_of("counted") == "true");
  CHECK(ring.outcome_of("logged") == "null");
  ring.check_ends("many", {"exception", "cpu_exceeded", "out_of_memory"});
  ring.finish();
}

TEST_CASE("an error message of many megabytes is cut and one too large to read is only counted") {
  Ring ring(R"js(
      exports.megabyte = () => { throw new Error('begin' + 'x'.repeat(2 ** 20)); };
      exports.longest = () => { throw new Error('x'.repeat(2 ** 29 - 24)); };
      exports.log = () => console.log('x'.repeat(2 ** 29 - 24), 'begin' + 'y'.repeat(2 ** 20));
  )js",
            kSmall);
  const auto megabyte = error_of(ring.call("megabyte"));
  CHECK(megabyte.message.starts_with("Error: beginxxx"));
  CHECK(megabyte.message.size() <= 8 << 10);
  CHECK(contains(megabyte.stack, "at exports.megabyte"));
  const pid_t before = worker_of(ring.client(), "hostile").pid;
  CHECK(contains(ring.outcome_of("longest"), "exception: Error: a text of 536870888 characters, too long to be shown"));
  CHECK(ring.outcome_of("log") == "null");
  CHECK(ring.daemon().logged("a text of 536870888 characters, too long to be shown beginyyy"));
  CHECK(worker_of(ring.client(), "hostile").pid == before);
  ring.finish();
}

// --- time, timers, log ---------------------------------------------------------------------------------------------

TEST_CASE("regular expressions that explode are stopped, wherever V8 or the runtime would run them") {
  check_each_ends(R"js(
      const bomb = /^(?:(?:a|a)+)+$/, text = 'a'.repeat(64) + 'b';
      exports.test = () => bomb.test(text);
      exports.replace = () => text.replace(bomb, '');
      exports.split = () => text.split(bomb);
      exports.sticky = () => /(?:a*)*c/y.exec(text);
      exports.matchAll = () => [...text.matchAll(/(?:(?:a|a)+)+$/g)];
      exports.inGetter = () => ({ get a() { return bomb.test(text); } });
      exports.inMessage = () => { throw { __proto__: Error.prototype, get message() { return bomb.test(text); } }; };
      exports.inTimer = () => new Promise(() => setTimeout(() => bomb.test(text), 1));
  )js",
                  {"test", "replace", "split", "sticky", "matchAll", "inGetter", "inMessage", "inTimer"},
                  {"cpu_exceeded"}, {"--stretch", "100ms"});
}

TEST_CASE("timers by the hundred thousand fire, and leave the module and all others served") {
  Ring ring(R"js(
      const count = 100000;
      exports.once = () => new Promise((resolve) => {
        let left = count;
        for (let i = 0; i < count; i++) setTimeout(() => { if (--left === 0) resolve('all'); }, 0);
      });
      exports.cleared = () => {
        for (let i = 0; i < count; i++) clearTimeout(setTimeout(() => { throw new Error('cleared'); }, 0));
        return new Promise((resolve) => setTimeout(resolve, 5, 'none'));
      };
      exports.throwing = () => { for (let i = 0; i < count; i++) setTimeout(() => { throw new Error('late'); }, 0); };
  )js");
  CHECK(ring.outcome_of("once") == "\"all\"");
  CHECK(ring.outcome_of("cleared") == "\"none\"");
  CHECK(ring.outcome_of("throwing") == "null");
  ring.check_unharmed();
  CHECK_FALSE(contains(ring.daemon().log(), "cleared"));
  ring.finish();
}

TEST_CASE("of a hundred thousand unhandled rejections a few are logged and the call is answered") {
  Ring ring(R"js(
      exports.reject = () => { for (let i = 0; i < 300000; i++) Promise.reject(new Error('unheard')); return 'done'; };
      exports.late = () => {
        const all = [];
        for (let i = 0; i < 100000; i++) all.push(Promise.reject(i));
        for (const one of all) one.catch(() => {});
        return 'done';
      };
      exports.inMicrotasks = async () => { for (let i = 0; i < 100000; i++) queueMicrotask(() => { throw i; }); };
  )js",
            {"--stretch", "30s"});
  CHECK(ring.outcome_of("reject") == "\"done\"");
  CHECK(ring.daemon().logged("unhandled promise rejection: Error: unheard"));
  CHECK(ring.outcome_of("late") == "\"done\"");
  CHECK(ring.outcome_of("inMicrotasks") == "null");
  ring.finish();
  CHECK(ring.daemon().log().size() < std::size_t{4} << 20);
}

TEST_CASE("a gigabyte of log is cut to a few megabytes, in one stretch or in many") {
  Ring ring(R"js(
      const line = 'x'.repeat(8000);
      exports.atOnce = () => { for (let i = 0; i < 100000; i++) console.log(line); return 'done'; };
      exports.inTurns = async () => {
        for (let turn = 0; turn < 1000; turn++) {
          for (let i = 0; i < 30; i++) console.error(line);
          await new Promise((resolve) => setTimeout(resolve, 0));
        }
        return 'done';
      };
      exports.objects = () => { const all = new Array(1e5).fill(line); for (let i = 0; i < 3; i++) console.log(all); return 'done'; };
  )js",
            {"--stretch", "30s"});
  for (const std::string function : {"atOnce", "inTurns"}) {
    CHECK(ring.outcome_of(function) == "\"done\"");
    ring.check_unharmed();
  }
  ring.check_ends("objects", {"result", "out_of_memory"});
  ring.finish();
  CHECK(ring.daemon().log().size() < std::size_t{8} << 20);
}

}  // namespace
}  // namespace holdfast::test
