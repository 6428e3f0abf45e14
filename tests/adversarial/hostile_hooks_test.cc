// A module that replaces every built-in function within its reach. None of the replacements is ever passed a function
// of the runtime or of its packages, or an object that has such functions.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// `known`: everything that the module could reach before, and everything that it made itself.
constexpr const char* kHooks = R"js('use strict';
const { apply, construct, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys } = Reflect;
const { has, add } = WeakSet.prototype, { isArray } = Array, { includes, slice } = String.prototype;
const textOf = Function.prototype.toString, ErrorConstructor = Error, SetConstructor = Set, setAdd = Set.prototype.add;
const PromiseConstructor = Promise, after = setTimeout;
const known = new WeakSet();
const isKnown = (value) => apply(has, known, [value]);
const mine = (value) => { apply(add, known, [value]); return value; };
const isObject = (value) => (typeof value === 'object' && value !== null) || typeof value === 'function';

function walk(root) {
  const left = [root];
  for (let at = 0; at < left.length; at++) {
    const value = left[at];
    if (!isObject(value) || isKnown(value)) continue;
    mine(value);
    for (const key of ownKeys(value)) {
      const { value: held, get, set } = getOwnPropertyDescriptor(value, key);
      left.push(held, get, set);
    }
    left.push(getPrototypeOf(value));
  }
}
const samples = [function* () {}, async function* () {}, async () => {}, [].values(), new Map().entries(), new Set().values(),
  ''[Symbol.iterator](), 'a'.matchAll(/a/g), (function* () {})(), (async function* () {})(), new Headers().entries(),
  new URLSearchParams().entries(), new ReadableStream().values(), new FormData().entries(), new Uint8Array()];
for (const root of [globalThis, require, ...samples]) walk(root);

const seen = [];
let where = '', isOn = false, isLooking = false;
const tell = (name, what) => { seen[seen.length] = `${where}: ${name} was handed ${what}`; };
const isInternal = (value) => typeof value === 'function' && !isKnown(value) &&
  !apply(includes, apply(textOf, value, []), ['[native code]']);
function look(name, value, depth) {
  if (!isObject(value) || isKnown(value)) return;
  if (isInternal(value)) return tell(name, apply(slice, apply(textOf, value, []), [0, 80]));
  if (typeof value !== 'object' || depth === 0) return;
  // Instances of classes that modules have may carry anything: modules may look at it.
  const prototype = getPrototypeOf(value);
  if (prototype !== null && prototype !== objectPrototype && prototype !== arrayPrototype && isKnown(prototype)) return;
  const keys = ownKeys(value);
  for (let i = 0; i < keys.length && i < 100; i++) {
    const { value: held } = getOwnPropertyDescriptor(value, keys[i]);
    look(name, held, depth - 1);
  }
}
const objectPrototype = Object.prototype, arrayPrototype = Array.prototype;

let wrapped = 0;
function wrap(holder, key, label) {
  const property = getOwnPropertyDescriptor(holder, key);
  // By contract, a module's own functions of that name get the console's functions.
  if (!property.configurable || key === 'constructor' || key === Symbol.for('nodejs.util.inspect.custom')) return;
  const around = (inner) => {
    if (typeof inner !== 'function') return inner;
    wrapped++;
    // A method, as most built-in functions are not constructors.
    const { outer } = { outer(...list) {
      if (isOn && !isLooking) {
        isLooking = true;
        look(label, this, 2);
        for (let i = 0; i < list.length; i++) look(label, list[i], 2);
        isLooking = false;
      }
      return apply(inner, this, list);
    } };
    return mine(outer);
  };
  // Classes are not replaced.
  if (holder === globalThis && typeof property.value === 'function' && (key === 'Proxy' || isObject(property.value.prototype))) return;
  const { value, get, set } = property;
  if ('value' in property) defineProperty(holder, key, { ...property, value: around(value) });
  else defineProperty(holder, key, { ...property, get: around(get), set: around(set) });
}
function wrapAll() {
  const holders = new Map();
  for (const name of ownKeys(globalThis)) {
    const { value } = getOwnPropertyDescriptor(globalThis, name);
    if (!isObject(value) || value === globalThis) continue;
    holders.set(value, String(name));
    if (typeof value === 'function' && isObject(value.prototype)) holders.set(value.prototype, `${String(name)}.prototype`);
    else if (name === 'Intl') for (const part of ownKeys(value)) if (isObject(value[part]?.prototype)) holders.set(value[part].prototype, String(part));
  }
  for (const sample of samples) for (let at = getPrototypeOf(sample); at !== null; at = getPrototypeOf(at)) if (!holders.has(at)) holders.set(at, `prototype of ${String(sample)}`);
  holders.set(globalThis, 'globalThis');
  const all = [...holders].flatMap(([holder, label]) => ownKeys(holder).map((key) => [holder, key, `${label}.${String(key)}`]));
  for (const one of all) wrap(...one);
}

const drain = async (stream) => { const reader = stream.getReader(); let count = 0; while (!(await reader.read()).done) count++; return count; };
const write = async (writable, ...chunks) => { const writer = writable.getWriter(); for (const chunk of chunks) writer.write(chunk); return writer.close(); };
const source = (...chunks) => new ReadableStream(mine({ start: mine((c) => { for (const chunk of chunks) c.enqueue(chunk); c.close(); }) }));
const acts = {
  async compression() { const s = new CompressionStream('gzip'); write(s.writable, new Uint8Array(9)); return drain(s.readable); },
  async decompression() { const bytes = await new Response(source(new Uint8Array(9)).pipeThrough(new CompressionStream('deflate'))).arrayBuffer(); return drain(source(new Uint8Array(bytes)).pipeThrough(new DecompressionStream('deflate'))); },
  async brokenCompression() { try { await drain(source(new Uint8Array(9)).pipeThrough(new DecompressionStream('gzip'))); } catch (error) { return error.name; } },
  async texts() { return drain(source('a', 'b').pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream())); },
  async transform() { const t = new TransformStream(mine({ transform: mine((chunk, c) => c.enqueue(chunk)) })); write(t.writable, 1, 2); return drain(t.readable); },
  async iterate() { let n = 0; for await (const x of source(1, 2)) n += x; return n; },
  async tee() { const [a, b] = source(new Uint8Array(1)).tee(); return Promise.all([drain(a), drain(b)]); },
  async pipe() { await source(1).pipeTo(new WritableStream(mine({ write: mine(() => {}) }))); },
  async abort() { const controller = new AbortController(); const piped = new ReadableStream().pipeTo(new WritableStream(), mine({ signal: controller.signal })); controller.abort(); try { await piped; } catch (error) { return error.name; } },
  async bytes() { const s = new ReadableStream(mine({ type: 'bytes', pull: mine((c) => { c.enqueue(new Uint8Array(2)); c.close(); }) })); return (await s.getReader(mine({ mode: 'byob' })).read(new Uint8Array(4))).value.length; },
  async blob() { const blob = new Blob(['a', new Uint8Array(2)]); await blob.text(); await blob.slice(1).arrayBuffer(); new File([blob], 'f'); return drain(blob.stream()); },
  async bodies() {
    const headers = new Headers(mine({ a: 'b' })); for (const pair of headers); headers.forEach(mine(() => {})); headers.append('c', 'd');
    const request = new Request('http://a/', mine({ method: 'POST', body: 'x', headers, signal: new AbortController().signal }));
    await request.clone().text(); await request.arrayBuffer(); await Response.json(mine({ a: 1 })).json();
    const form = new FormData(); form.append('a', 'b'); form.set('f', new Blob(['x']), 'n'); form.has('a'); form.get('a'); form.getAll('a'); form.delete('b');
    for (const pair of form); form.forEach(mine(() => {}));
    const answer = new Response(form); const back = await answer.clone().formData(); await answer.blob();
    await new Response(new URLSearchParams('a=b')).formData(); return [...back].length;
  },
  url() { const url = new URL('http://\u00e4:8/b?c=d#e'); url.searchParams.append('x', 'y'); for (const pair of url.searchParams); url.searchParams.sort(); url.searchParams.forEach(mine(() => {})); url.host = 'z'; url.port = '1'; return url.href; },
  console() {
    console.log('a %s %o', 'b', mine({ a: [1, new Map([[1, 2]]), new Set([1])] }), new Error('x'), Promise.resolve(), new Headers(), new Blob([]), new Date(0), /x/, [].values(), new Proxy(mine({}), mine({})));
    console.table([mine({ a: 1 })]); console.group('a'); console.dir(mine({ a: 1 })); console.groupEnd(); console.assert(false, 'a'); console.count(); console.time(); console.timeEnd(); console.trace('t');
  },
  clone() { return structuredClone(mine({ a: [1, new Map([[1, new Set([2])]]), new Date(), new Error('x', mine({ cause: 1 })), new Blob([])] })).a.length; },
  async events() {
    const target = new EventTarget(), listener = mine(() => {}); target.addEventListener('x', listener, mine({ once: true })); target.addEventListener('x', mine({ handleEvent: mine(() => {}) }));
    target.dispatchEvent(new CustomEvent('x')); target.removeEventListener('x', listener);
    const controller = new AbortController(); AbortSignal.any([controller.signal]).onabort = mine(() => {}); controller.abort();
  },
  async timers() { await new Promise(mine((resolve) => { setTimeout(resolve, 1); })); clearInterval(setInterval(mine(() => {}), 1)); await new Promise(mine((resolve) => { queueMicrotask(resolve); })); },
  async channels() { const { port1, port2 } = new MessageChannel(); const came = new Promise(mine((resolve) => { port2.onmessage = mine((event) => resolve(event.data)); })); port1.postMessage(mine({ a: 1 })); await came; port1.close(); },
  async crypto() {
    const { subtle } = crypto, ec = mine({ name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }), gcm = mine({ name: 'AES-GCM', length: 128, iv: new Uint8Array(12) });
    const { privateKey, publicKey } = await subtle.generateKey(ec, true, ['sign', 'verify']); await subtle.exportKey('jwk', publicKey); await subtle.digest('SHA-256', new Uint8Array(1));
    const aes = await subtle.generateKey(gcm, true, ['wrapKey', 'unwrapKey', 'encrypt']); const wrapped = await subtle.wrapKey('jwk', privateKey, aes, gcm);
    await subtle.unwrapKey('jwk', wrapped, aes, gcm, ec, true, ['sign']); await subtle.encrypt(gcm, aes, new Uint8Array(5)); crypto.randomUUID(); crypto.getRandomValues(new Uint8Array(4));
  },
  encoding() { new TextDecoder('utf-16le').decode(new TextEncoder().encode('abcd')); btoa('a'); atob('YQ=='); return 'a\ud800'.toWellFormed(); },
  failures() { try { require('nosuch'); } catch {} reportError(new Error('e')); new DOMException('a', 'AbortError').stack; performance.now(); },
};
exports.wrapped = async (payload, context) => {
  walk(context);
  wrapAll();
  const failed = [];
  for (const name of ownKeys(acts)) {
    where = name; isOn = true;
    try { await acts[name](); } catch (error) { failed[failed.length] = `${name}: ${error.stack}`; }
    isOn = false;
  }
  return { wrapped, failed, seen };
};
// What the runtime does for a call with everything wrapped; `seen` records what it passed on.
exports.stream = async function* () { isOn = true; where = 'stream'; yield 1; yield { a: 1 }; };
exports.waits = async (payload, { signal }) => { isOn = true; where = 'waits'; signal.addEventListener('abort', mine(() => {})); await new Promise(mine((resolve) => { after(resolve, 1); })); return { a: [1] }; };
exports.fails = () => { isOn = true; where = 'fails'; throw new ErrorConstructor('x', { cause: new ErrorConstructor('y') }); };
exports.lossy = () => { isOn = true; where = 'lossy'; return { a: new SetConstructor() }; };
exports.seen = () => { isOn = false; return seen; };
)js";

TEST_CASE("replacements of every built-in function get nothing of the runtime") {
  for (const char* profile : kProfiles) {
    CAPTURE(profile);
    Daemon daemon({.modules = {{"hooks", kHooks}}, .flags = {"--profile", profile, "--stretch", "1m"}});
    ipc::Client client = daemon.connect();
    const auto report = nlohmann::json::parse(outcome(call(client, {"hooks", "wrapped"})), nullptr, false);
    REQUIRE(report.is_object());
    CHECK(report["wrapped"] > 800);
    CHECK(report["failed"] == nlohmann::json::array());
    CHECK(report["seen"] == nlohmann::json::array());
    CHECK(outcome(call(client, {"hooks", "waits"})) == R"({"a":[1]})");
    CHECK(error_of(call(client, {"hooks", "fails"})).message == "Error: x");
    CHECK(code_of(call(client, {"hooks", "lossy"})) == "not_serializable");
    CHECK(outcome(call(client, {"hooks", "seen"})) == "[]");
    daemon.stop();
  }
}

}  // namespace
}  // namespace holdfast::test
