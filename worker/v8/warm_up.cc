#include "worker/v8/warm_up.h"

#include <string_view>

#include "ipc/worker_messages.h"
#include "worker/v8/module_host.h"

namespace holdfast::worker {
namespace {

// Uses what modules commonly use: JSON, promises, errors with stacks, dates and Intl (whose ICU data is read on first
// use), regular expressions, collections, typed arrays, the console, text as bytes, copies, cryptography. Must not
// use Math.random: its state is made at first use, and all children would share it. Must not use performance.now()
// either, which remembers the latest time that it returned.
constexpr std::string_view kModule = R"js(
'use strict';
exports.echo = async (payload, context) => ({ ...payload, f: context.function });
exports.later = async () => { await null; return [1, 'two', { three: 3.5 }]; };
exports.fail = async () => { throw new TypeError('warm'); };
exports.plain = () => 1;
exports.patient = (payload, { signal }) => new Promise((resolve, reject) => {
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
});
exports.log = () => {
  console.log('text', 1);
  for (let i = 0; i < 2; i++) {
    console.log('%s', 'formatted', { a: [i, 'two'], map: new Map([[1, new Set()]]) }, new Error('shown'));
  }
};
// What V8 compiles while it runs: the compiler's own pages are then there for all.
exports.hot = () => {
  let sum = 0;
  for (let i = 0; i < 20000; i++) sum += Math.imul(i, 3) % 7;
  return sum;
};
exports.cyclic = () => { const a = {}; a.a = a; return a; };
exports.library = async (payload) => {
  const text = `${new Date(0).toISOString()} ${new Date(0).toString()} ${(1234.5).toLocaleString('en-US')}`;
  const map = new Map(Object.entries(payload)), set = new Set([1, 2, 3]);
  class A { #x = 1; get x() { return this.#x; } static make() { return new A(); } }
  const { x } = A.make();
  const sorted = [3, 1, 2].map((n) => n * x).filter((n) => n > 0).sort((a, b) => a - b);
  const bytes = new Uint8Array(16).fill(7);
  const words = text.split(/\s+/).map((w) => w.replace(/[aeiou]/gi, '').toUpperCase()).join(' ');
  new Intl.DateTimeFormat('en-US', { timeZone: 'UTC' }).format(0);
  try { JSON.parse('{'); } catch (error) { error.stack; }
  for (const [key, value] of map) set.add(key + value);
  function* generate() { yield* sorted; }
  return { words, sorted: [...generate()], size: set.size, sum: bytes.reduce((a, b) => a + b, 0) };
};
exports.web = async () => {
  const url = new URL('../b?c=d#e', 'https://example.org:8080/a/');
  url.searchParams.append('f', 'g h');
  const { host, pathname, search, href } = url;
  const headers = new Headers({ 'Content-Type': 'application/json', Accept: '*/*' });
  const request = new Request(href, { method: 'POST', headers, body: '{"a":1}' });
  const { a } = await request.json();
  const response = new Response(new Blob([`${host}${pathname}${search}`, new Uint8Array(2)]), { status: 201 });
  const copy = response.clone();
  const bytes = await response.arrayBuffer(), text = await copy.text();
  const stream = new ReadableStream({ start(c) { c.enqueue(new TextEncoder().encode(text)); c.close(); } });
  const whole = [];
  for await (const chunk of stream.pipeThrough(new TransformStream())) whole.push(new TextDecoder().decode(chunk));
  const form = new FormData();
  form.append('a', new File([bytes], 'a.txt', { lastModified: 0 }));
  const answer = Response.json({ a, whole, form: [...form].length });
  return { headers: [...answer.headers], status: answer.status, text: await answer.text() };
};
exports.crypto = async () => {
  const { subtle } = crypto, iv = crypto.getRandomValues(new Uint8Array(12)), data = new TextEncoder().encode('text');
  const usages = ['encrypt', 'decrypt'], hmac = { name: 'HMAC', hash: 'SHA-256' };
  const bytes = new Uint8Array(await subtle.digest('SHA-256', data));
  const key = await subtle.importKey('raw', bytes, hmac, false, ['sign', 'verify']);
  const holds = await subtle.verify('HMAC', key, await subtle.sign(hmac, key, data), data);
  const aes = await subtle.generateKey({ name: 'AES-GCM', length: 256 }, true, usages);
  const sealed = await subtle.encrypt({ name: 'AES-GCM', iv }, aes, data);
  const opened = await subtle.decrypt({ name: 'AES-GCM', iv }, await subtle.importKey('jwk', await subtle.exportKey('jwk', aes), 'AES-GCM', false, usages), sealed);
  const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const { privateKey, publicKey } = await subtle.generateKey(ecdsa, true, ['sign', 'verify']);
  await subtle.verify(ecdsa, publicKey, await subtle.sign(ecdsa, privateKey, data), data);
  return { holds, text: new TextDecoder().decode(opened), id: crypto.randomUUID(), hex: [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('') };
};
exports.platform = async (payload) => {
  const encoder = new TextEncoder(), decoder = new TextDecoder(), bytes = encoder.encode('ascii');
  encoder.encodeInto('caf\xe9', bytes);
  const text = decoder.decode(bytes) + decoder.decode(encoder.encode('\u20ac'), { stream: true }) + decoder.decode();
  try { structuredClone(() => {}); } catch { /* as meant */ }
  return structuredClone({ text: atob(btoa(text.slice(0, 4))), payload, list: [1, new Map([[1, new Set([bytes])]]), new Date(0)] });
};
)js";

// The parts of a typical module that V8 parses and usually does not run.
constexpr std::string_view kFirstCallModule = R"js(
'use strict';
const names = ['one', 'two'], limits = { least: 0, most: 1e3 };
const read = async (text, { signal } = {}) => {
  while (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, 0));
  return JSON.parse(text).map((item, i) => ({ ...item, i, name: `name ${names[i % 2]}` }));
};
exports.f = async (payload) => ({ ...payload });
exports.g = ({ a, b }) => (a + b > limits.most ? null : read(a));
)js";

}  // namespace

void make_first_call(Engine& engine) {
  static ipc::SharedPage page{};
  Outbox nowhere{BorrowedFd()};
  ModuleHost host(engine, nowhere, nullptr, page);
  const ipc::Bytes payload = ipc::as_bytes(R"({"a":1,"b":[2,"x"]})");
  host.load({.module = "first-call",
             .version = "1",
             .file_name = "first-call.js",
             .source = ipc::as_bytes(kFirstCallModule),
             .memory_bytes = UINT64_MAX,
             .max_payload_bytes = 1 << 20});
  host.start({.id = 1, .function = "f", .payload = payload});
  host.start({.id = 2, .function = "no such function", .payload = payload});
  host.run_pending_tasks();
}

void warm_up(Engine& engine) {
  static ipc::SharedPage page{};
  Outbox nowhere{BorrowedFd()};
  {
    ModuleHost host(engine, nowhere, nullptr, page);
    host.load({.module = "warm-up",
               .version = "1",
               .file_name = "warm-up.js",
               .source = ipc::as_bytes(kModule),
               .memory_bytes = UINT64_MAX,
               .max_payload_bytes = 1 << 20});
    std::uint64_t id = 0;
    // Enough rounds for V8 to allocate the feedback of what runs, which each worker would otherwise do for itself.
    constexpr int kRounds = 12;
    for (int round = 0; round < kRounds; ++round) {
      for (const char* function : {"echo", "later", "fail", "plain", "log", "cyclic", "library", "platform", "web",
                                   "crypto", "hot", "missing"}) {
        host.start({.id = ++id, .function = function, .payload = ipc::as_bytes(R"({"a":1,"b":[2,"x"]})")});
      }
      host.start({.id = ++id,
                  .function = "echo",
                  .payload = ipc::as_bytes(R"([{"a":1}])"),
                  .arguments = ipc::ArgumentStyle::positional});
      host.start({.id = ++id, .function = "patient"});
      host.cancel(id, ipc::CancelReason::cancelled);
    }
    host.run_pending_tasks();
  }
}

}  // namespace holdfast::worker
