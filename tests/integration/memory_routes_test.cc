// Memory that is used up in every way that JavaScript offers. Each way ends as out_of_memory, or as an exception that
// the function can catch, and other modules are not affected.
#include "tests/integration/memory_routes.h"

#include <doctest/doctest.h>

namespace holdfast::test {
namespace {

// --- V8's heap -----------------------------------------------------------------------------------------------------

TEST_CASE("a function that fills its heap with objects is out_of_memory") {
  check_routes({
      {"objects", "while (true) all.push({ a: all.length });"},
      {"linked", "let list = null; while (true) list = { list, a: 1, b: 'two' };"},
      {"properties", "const o = {}; for (let i = 0; ; i++) o['key' + i] = i;"},
      {"shapes", "for (let i = 0; ; i++) { const o = {}; o['a' + i] = 1; o['b' + i] = 2; all.push(o); }"},
      {"accessors", "for (let i = 0; ; i++) all.push(Object.defineProperty({}, 'p' + i, { get: () => i }));"},
      {"classes", "while (true) all.push(class { #a = 1; a() {} static b() {} });"},
      {"closures", "while (true) all.push(() => all);"},
      {"symbols", "while (true) all.push(Symbol('x'));"},
      {"registeredSymbols", "for (let i = 0; ; i++) Symbol.for('x' + i);"},
      {"dates", "while (true) all.push(new Date(all.length));"},
      {"proxies", "let p = {}; while (true) all.push(p = new Proxy(p, {}));"},
      {"bound", "let f = () => 1; const many = new Array(60000).fill(1); while (true) f = f.bind(null, ...many);"},
      {"generators", "function* g() { yield 1; } while (true) { const x = g(); x.next(); all.push(x); }"},
      {"arguments", "const f = function () { all.push(arguments); }; while (true) f(1, 2, 3, 4);"},
      {"afterAwait", "await null; while (true) all.push({ all });"},
  });
}

TEST_CASE("a function that fills its heap with arrays is out_of_memory") {
  check_routes({
      {"arrays", "while (true) all.push(new Array(1000).fill(0.5));"},
      {"large", "while (true) all.push(new Array(300000).fill(1));"},
      {"mixed", "while (true) all.push(1.5, {});"},
      {"doubles", "while (true) all.push(1.5);"},
      {"integers", "while (true) all.push(1);"},
      {"huge", "new Array(50000000).fill(1);"},
      {"hugeDoubles", "new Array(30000000).fill(1.5);"},
      {"holes", "new Array(2 ** 32 - 1).fill(1);"},
      {"sparse", "const a = []; a[4294967294] = 1; for (let i = 0; ; i += 3000) a[i % 4294967290] = i;"},
      {"scattered", "for (let i = 0; ; i++) all[(i * 7919) % 4294967295] = i;"},
      {"concatenated", "let a = [1]; while (true) a = a.concat(a);"},
      {"spread", "let a = [1, 2]; while (true) a = [...a, ...a];"},
      {"flattened", "let a = [1, 2, 3, 4, 5, 6, 7, 8]; while (true) a = [a, a, a, a].flat();"},
      {"copied", "let a = [1, 2, 3]; while (true) { a.length *= 2; a.copyWithin(a.length / 2, 0); }"},
      {"from", "Array.from({ length: 2 ** 30 });"},
      {"keys", "const o = new Array(1000000).fill(1); while (true) all.push(Object.keys(o));"},
      {"sorted", "for (let i = 0; i < 3000000; i++) all.push((i * 7919) % 1000003); all.sort((x, y) => x - y).sort();"},
      {"applied", "const b = new Array(50000).fill(1); while (true) all.push.apply(all, b);"},
      {"constructed", "Reflect.construct(Array, { length: 2 ** 26 });"},
      {"asArguments", "Math.max(...new Array(2000000).fill(1));", kRangeError},
      {"asApplied", "Math.max.apply(null, new Array(4000000).fill(1));", kRangeError},
      {"asReflected", "Reflect.apply(Math.max, null, { length: 2 ** 27 });", kRangeError},
  });
}

TEST_CASE("a function that fills its heap with collections is out_of_memory") {
  check_routes({
      {"map", "const map = new Map(); for (let i = 0; ; i++) map.set(i, i);"},
      {"mapOfObjects", "const map = new Map(); for (let i = 0; ; i++) map.set(i, {});"},
      {"set", "const set = new Set(); for (let i = 0; ; i++) set.add(i);"},
      {"weakMap", "const map = new WeakMap(); while (true) { const key = {}; all.push(key); map.set(key, key); }"},
      {"weakSet", "const set = new WeakSet(); while (true) { const key = {}; all.push(key); set.add(key); }"},
      {"weakReferences", "while (true) all.push(new WeakRef({}));"},
      {"finalizers",
       "const registry = new FinalizationRegistry(() => {}); while (true) { const key = {}; all.push(key); "
       "registry.register(key, key.x, key); }"},
  });
}

TEST_CASE("a string that is too long for V8 is a RangeError, and one too long for the heap is out_of_memory") {
  check_routes({
      {"repeated", "'x'.repeat(1 << 29);", kRangeError},
      {"joined", "new Array(2 ** 32 - 1).join('xx');", kRangeError},
      {"template", "let s = 'ab'; while (true) s = `${s}${s}-`;", kRangeError},
      {"longest", "'x'.repeat((1 << 29) - 25).charCodeAt(100000);"},
      {"flattened", "let s = 'x'; for (let i = 0; i < 28; i++) s += s; s.charCodeAt(5);"},
      {"flattenedTwoBytes", "let s = '\\u1234'; for (let i = 0; i < 27; i++) s += s; s.charCodeAt(5);"},
      {"ropes", "let s = 'ab'; while (true) { s = s + all.length; all.push(s); }"},
      {"many", "while (true) all.push(`${all.length}`.repeat(50) + Math.random());"},
      {"padded", "'a'.padEnd((1 << 29) - 30).charCodeAt(1 << 28);"},
      {"stringified", "JSON.stringify(new Array(5000000).fill(123456789));"},
      {"stringifiedShared", "let a = ['some text']; for (let i = 0; i < 30; i++) a = [a, a]; JSON.stringify(a);"},
      {"stringifiedWide", "JSON.stringify(new Array(1 << 25).fill(0), null, '          ');"},
      {"replaced", "let s = 'ab'; while (true) s = s.replaceAll('a', 'abab');"},
      {"replacedByPattern", "let s = 'ab'; while (true) s = s.replace(/a/g, 'abab');"},
      {"replacedByFunction", "let s = 'ab'; while (true) s = s.replace(/a/g, () => 'abab');"},
      {"replacedBySelf", "'x'.repeat(20000).replace(/x/g, '$`');"},
      {"split", "'x'.repeat(16000000).split('');"},
      {"splitByPattern", "'ab'.repeat(16000000).split(/a/);"},
      {"spread", "[...'ab'.repeat(8000000)];"},
      {"encoded", "encodeURIComponent('\\u1234'.repeat(12000000));"},
      {"escaped", "escape('\\u1234'.repeat(24000000));"},
      {"raw", "String.raw({ raw: new Array(1 << 20).fill('x'.repeat(100)) }) + 1;", "out_of_memory done"},
      {"upper", "'x\\u00e9'.repeat(40000000).toLocaleUpperCase('tr');"},
      {"upperGrows", "'\\u00df'.repeat(40000000).toUpperCase();"},
      {"normalized", "'\\ufdfa'.repeat(3000000).normalize('NFKC');"},
      {"compared", "const s = '\\u00e9'.repeat(60000000); s.localeCompare(s + 'x', 'de');"},
      {"asKeys", "const o = {}; for (let i = 0; ; i++) o['x'.repeat(10000) + i] = 1;"},
      {"logged", "console.log('x'.repeat(1 << 28));", "done"},
  });
}

TEST_CASE("a regular expression, or what it matches, ends cleanly when it is too large") {
  check_routes({
      {"many",
       "for (let i = 0; ; i++) { const r = new RegExp('a+b' + i + '[x-z]*'); r.test('aab' + i); all.push(r); }"},
      {"matches", "'ab'.repeat(6000000).match(/a/g);"},
      {"allMatches", "[...'ab'.repeat(6000000).matchAll(/a/g)];"},
      {"named", "while (true) all.push(/(?<year>\\d+)-(?<month>\\d+)/.exec('2020-12'));"},
      {"source", "new RegExp('x'.repeat(20000000)).test('b');", "out_of_memory SyntaxError"},
      {"repetitions", "new RegExp('a{1000}'.repeat(20000)).test('b');", "SyntaxError"},
      {"captures", "new RegExp('(a)'.repeat(30000)).exec('a'.repeat(30000));", "SyntaxError"},
      {"backtracking", "/(?:a|b|c|d)*x/.test('abcd'.repeat(20000000));", "out_of_memory RangeError done"},
  });
}

TEST_CASE("a BigInt that is too large for V8 is a RangeError, and one too large for the heap is out_of_memory") {
  check_routes({
      {"power", "2n ** (2n ** 30n);", kRangeError},
      {"shift", "1n << (1n << 30n);", kRangeError},
      {"largest", "2n ** (2n ** 30n - 1n);"},
      {"asUint", "BigInt.asUintN(2 ** 30, -1n);"},
      {"many", "while (true) all.push(1n << 100000n);"},
      {"shifted", "for (let x = 1n; ; x <<= 20000000n) all.push(x);", kEither},
  });
}

TEST_CASE("promises, timers and microtasks without end are out_of_memory") {
  check_routes({
      {"promises", "while (true) all.push(new Promise(() => {}));"},
      {"functions", "const f = async () => { await new Promise(() => {}); }; while (true) all.push(f());"},
      {"chain", "let p = Promise.resolve(); while (true) p = p.then(() => 1);"},
      {"handlers", "const p = new Promise(() => {}); while (true) p.then(() => 1);"},
      {"rejections", "while (true) all.push(Promise.reject(new Error('x')));"},
      {"microtasks", "const f = () => { queueMicrotask(f); queueMicrotask(f); }; f(); await new Promise(() => {});"},
      {"timers", "while (true) setTimeout(() => {}, 100000);"},
      {"messages", "const c = new MessageChannel(); c.port2.start(); while (true) c.port1.postMessage(all);"},
      {"unreadMessages", "const c = new MessageChannel(); all.push(c); while (true) c.port1.postMessage({ a: 1 });"},
      {"channels", "while (true) all.push(new MessageChannel());"},
      {"asyncGenerator", "async function* g() { while (true) yield 1; } for await (const x of g()) all.push({ x });"},
  });
}

TEST_CASE("errors and their stacks without end are out_of_memory, and endless recursion is a RangeError") {
  check_routes({
      {"errors", "while (true) all.push(new Error('x'));"},
      {"stacks", "while (true) all.push(new Error('x').stack);"},
      {"deepStacks",
       "Error.stackTraceLimit = 1000; const f = (n) => n === 0 ? all.push(new Error('x')) : f(n - 1); "
       "while (true) f(500);"},
      {"structured", "Error.prepareStackTrace = (error, sites) => sites; while (true) all.push(new Error('x').stack);"},
      {"causes", "let error = null; while (true) error = new Error('x', { cause: error });"},
      {"recursion", "const f = (n) => f(n + 1) + 1; f(0);", kRangeError},
      {"recursionThatGoesOn", "const g = () => new Array(100), f = () => { try { f(); } finally { g(); } }; f();",
       kRangeError},
      {"nestedJson", "JSON.parse('['.repeat(12000000) + ']'.repeat(12000000));"},
      {"nestedText", "let a = []; for (let i = 0; i < 300000; i++) a = [a]; String(a);", "RangeError out_of_memory"},
  });
}

// --- memory beside the heap ----------------------------------------------------------------------------------------

TEST_CASE("an array buffer that does not fit is a RangeError, and ever so many small ones are out_of_memory") {
  check_routes({
      {"many", "while (true) all.push(new Uint8Array(1 << 20).fill(1));", kRangeError},
      {"middling", "while (true) all.push(new ArrayBuffer(5000));", kEither},
      {"small", "while (true) all.push(new Uint8Array(10));"},
      {"empty", "while (true) all.push(new ArrayBuffer(0));"},
      {"views", "const b = new ArrayBuffer(8); while (true) all.push(new DataView(b));"},
      {"huge", "new ArrayBuffer(2 ** 53 - 1);", kRangeError},
      {"words", "new BigUint64Array(1 << 26);", kRangeError},
      {"from", "Float64Array.from({ length: 2 ** 28 });", kRangeError},
      {"slices", "const a = new Uint8Array(10 << 20); while (true) all.push(a.slice());", kRangeError},
      {"fitting", "new Uint8Array(31 << 20).fill(7);", kDone},
      {"garbage", "for (let i = 0; i < 100; i++) new Uint8Array(8 << 20).fill(1);", kDone},
      {"withHeap", "while (true) all.push(new Uint8Array(100000), new Array(10000).fill({}));", kEither},
  });
}

// (module (memory 1) (func (export "grow") (result i32) i32.const 16 memory.grow))
constexpr const char* kGrowingModule = R"js(
    const growing = new Uint8Array([
      0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 0x60, 0, 1, 0x7f, 3, 2, 1, 0, 5, 3, 1, 0, 1,
      7, 8, 1, 4, 0x67, 0x72, 0x6f, 0x77, 0, 0, 10, 8, 1, 6, 0, 0x41, 16, 0x40, 0, 0x0b]);
)js";

TEST_CASE(
    "WebAssembly's memory is refused where it does not fit, so that the code can go on, and all else is "
    "out_of_memory") {
  check_routes(
      {
          {"grown", "const m = new WebAssembly.Memory({ initial: 1 }); while (true) m.grow(16);", kRangeError},
          {"grownInside",
           "const { grow } = new WebAssembly.Instance(new WebAssembly.Module(growing)).exports; "
           "while (grow() !== -1) all.push(1); if (all.length === 0) throw new Error('never');",
           kDone},
          {"initial", "new WebAssembly.Memory({ initial: 65536 });", kRangeError},
          {"many", "while (true) all.push(new WebAssembly.Memory({ initial: 16 }));", kRangeError},
          {"manyFilled",
           "while (true) { const m = new WebAssembly.Memory({ initial: 16 }); new Uint8Array(m.buffer).fill(1); "
           "all.push(m); }",
           kRangeError},
          {"table", "const t = new WebAssembly.Table({ initial: 1, element: 'anyfunc' }); while (true) t.grow(100000);",
           kEither},
          {"initialTable", "new WebAssembly.Table({ initial: 10000000, element: 'anyfunc' });", kEither},
          {"tables", "while (true) all.push(new WebAssembly.Table({ initial: 1000, element: 'anyfunc' }));"},
          {"globals", "while (true) all.push(new WebAssembly.Global({ value: 'i64', mutable: true }, 1n));"},
          {"modules", "while (true) all.push(new WebAssembly.Module(growing.slice(0, 8)));", kEither},
          {"instances",
           "const m = new WebAssembly.Module(growing.slice(0, 8)); while (true) all.push(new WebAssembly.Instance(m));",
           kEither},
      },
      kGrowingModule);
}

TEST_CASE("Intl's objects, which ICU keeps outside of the heap, are out_of_memory") {
  check_routes({
      {"numbers", "while (true) all.push(new Intl.NumberFormat('en-US', { style: 'currency', currency: 'USD' }));"},
      {"dates", "while (true) all.push(new Intl.DateTimeFormat('de', { dateStyle: 'full', timeStyle: 'long' }));"},
      {"relative", "while (true) all.push(new Intl.RelativeTimeFormat('pl'));"},
      {"segmenters",
       "while (true) all.push(new Intl.Segmenter('ja', { granularity: 'word' }).segment('x'.repeat(1000)));"},
      {"names", "while (true) all.push(new Intl.DisplayNames('sv', { type: 'region' }));"},
  });
}

}  // namespace
}  // namespace holdfast::test
