// JavaScript that takes what it can get: memory in every shape, time, stack, log, timers. Each call gets its one answer,
// and nobody else notices. (Plain loops are in tests/integration/runaway_test.cc, plain heaps in limits_test.cc.)
#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/adversarial/hostile.h"

namespace holdfast::test {
namespace {

const std::vector<std::string> kSmall = {"--memory", "32MB", "--stretch", "5s"};

// Runs each exported function of `code` once, all in one daemon; each may end with any of the codes.
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

TEST_CASE("strings as long as V8 has them, wherever they are put, end their own call and nothing else") {
  check_each_ends(R"js(
      const huge = (letter = 'x') => letter.repeat(2 ** 29 - 24);  // V8's longest; a rope until somebody reads it
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
                  {"asResult",    "inResult",       "asKey",        "asMessage",   "asName",     "asNameAndMessage",
                   "asStack",     "asStackOfLines", "asThrown",     "asThrownInside", "asRejection", "asUnhandled",
                   "inTimer",     "asLog",          "asLogOfError", "asSpecifier", "asCallback", "asDelay",
                   "asSymbol",    "asPath",         "asExport",     "doubled",     "joined",     "padded",
                   "replaced",    "normalized",     "split",        "spread"},
                  {"result", "exception", "out_of_memory", "cpu_exceeded", "payload_too_large", "not_serializable"});
}

TEST_CASE("memory in every shape that JavaScript has for it is bounded, and nothing but its own module ends") {
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
      exports.registry = () => { const r = new FinalizationRegistry(() => {}); const all = [];
                                 for (;;) { const o = {}; all.push(o); r.register(o, o); } };
      exports.weakMap = () => { const map = new WeakMap(), all = []; for (;;) { const o = {}; all.push(o); map.set(o, o); } };
      exports.generators = () => { const all = []; for (;;) all.push((function* () { yield all; })()); };
      exports.bound = () => { let f = () => 1; for (;;) f = f.bind(null, f); };
      exports.expressions = () => { const all = []; for (let i = 0; ; i++) { const e = new RegExp('a{1,9}' + i); e.test('a'); all.push(e); } };
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
                  {"array",      "from",       "sparse",  "keys",      "symbols",    "bigint",       "bigints",
                   "views",      "buffers",    "weak",    "registry",  "weakMap",    "generators",   "bound",
                   "expressions", "dates",     "numbers", "collators", "errors",     "rejections",   "microtasks",
                   "reactions",  "timers",     "intervals", "classes", "wasmMemories", "wasmModules"},
                  {"exception", "out_of_memory", "cpu_exceeded"});
}

// --- stack ---------------------------------------------------------------------------------------------------------

TEST_CASE("recursion without an end is an exception, through whatever it goes") {
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
                  {"plain",      "getter",        "resultGetter", "proxy",    "proxyOfProxies", "prototypes",
                   "prototypeTraps", "toJSON",    "reviver",      "replacer", "comparator",     "deepResult",
                   "deepUnserializable", "deepParse", "deepThrown", "deepCause", "bound",       "toStringing",
                   "flat",       "concat",        "expression",   "source",   "logging",        "naming",
                   "requiring",  "thenable"},
                  {"result", "exception", "not_serializable", "cpu_exceeded", "out_of_memory"});
}

}  // namespace
}  // namespace holdfast::test
