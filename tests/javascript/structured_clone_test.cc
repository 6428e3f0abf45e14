// structuredClone, as specified by the HTML Standard.
#include <doctest/doctest.h>

#include <string>

#include "tests/javascript/both_profiles.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

constexpr const char* kHelpers = R"js(
    const clone = structuredClone;
    const failure = (use) => { try { use(); return 'nothing'; } catch (error) { return error.name; } };
    const failureOf = async (use) => { try { await use(); return 'nothing'; } catch (error) { return error.name; } };
    const tag = (value) => Object.prototype.toString.call(value).slice(8, -1);
)js";

void evaluates(const std::string& code, const std::string& wanted) {
  CHECK(evaluated_in_both_profiles(code, kHelpers) == wanted);
}

TEST_CASE("every kind of value comes back as another one of its kind") {
  evaluates(
      R"js(
      const expression = /a(?<n>b)+/giu;
      expression.lastIndex = 3;
      const map = new Map([[{ key: 1 }, new Set([1, '2', null, NaN])]]), buffer = new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]).buffer;
      const value = {
        plain: [1, -0, NaN, 'x', true, null, undefined, -(2n ** 70n)], boxed: [Object(1), Object('abc'), Object(false), Object(5n)],
        date: new Date(5), never: new Date(NaN), expression, map, buffer, view: new Uint8Array(buffer, 2, 3), data: new DataView(buffer, 1, 3), floats: new Float64Array(buffer),
      };
      const copy = clone(value);
      const [[key, set]] = copy.map;
      return [Object.is(copy.plain[1], -0), copy.plain[2] !== copy.plain[2], 6 in copy.plain, copy.plain[7] === value.plain[7], copy.boxed.map((box) => `${tag(box)} ${box}`).join(), copy.date.getTime(),
              tag(copy.date), isNaN(copy.never), String(copy.expression), copy.expression.lastIndex, copy.expression !== expression, key.key, [...set].length, set.has(NaN), copy.view.join(),
              copy.view.buffer === copy.buffer, copy.data.buffer === copy.buffer, copy.data.byteOffset, copy.data.byteLength, copy.floats.length, copy.buffer !== buffer,
              clone(new Uint8ClampedArray([300]))[0], tag(clone(new BigInt64Array(1))), clone(undefined) === undefined];
  )js",
      R"([true,true,true,true,"Number 1,String abc,Boolean false,BigInt 5",5,"Date",true,"/a(?<n>b)+/giu",0,true,1,4,true,"3,4,5",true,true,1,3,1,true,255,"BigInt64Array",true])");
}

TEST_CASE("identical objects stay identical in the copy and cycles are kept") {
  evaluates(R"js(
      const object = {}, array = [object, object], map = new Map(), set = new Set(), error = new Error('e');
      Object.assign(object, { object, array, map, set });
      map.set(map, object).set('set', set);
      set.add(set).add(array);
      error.cause = { error, object };
      const copy = clone({ object, error });
      const { object: o } = copy;
      return [o !== object, o.object === o, o.array[0] === o, o.array[1] === o, o.map.get(o.map) === o, o.map.get('set') === o.set, o.set.has(o.set), o.set.has(o.array),
              copy.error.cause.error === copy.error, copy.error.cause.object === o];
  )js",
            "[true,true,true,true,true,true,true,true,true,true]");
}

TEST_CASE("own enumerable properties with names are copied, in order, and nothing else of an object") {
  evaluates(
      R"js(
      class Point { #secret = 1; x = 1; get y() { return 2; } }
      const point = clone(new Point()), hidden = clone(Object.defineProperty({ a: 1, [Symbol('s')]: 2 }, 'b', { value: 1 }));
      const tricky = clone(JSON.parse('{"__proto__":{"x":1},"constructor":2,"2":0,"1":0}'));
      const sparse = [1, , 3];
      sparse.name = 'kept';
      sparse[10] = 1;
      sparse.length = 20;
      const holes = clone(sparse), huge = [];
      huge[4e9] = 1;
      return [Object.getPrototypeOf(point) === Object.prototype, Object.keys(point), Reflect.ownKeys(hidden).length, Object.getPrototypeOf(tricky) === Object.prototype, Object.keys(tricky),
              tricky.x, holes.length, Object.keys(holes), 1 in holes, clone(huge).length, Object.keys(clone(huge)), Object.getPrototypeOf(clone(Object.create(null))) === Object.prototype,
              Array.isArray(clone(new (class extends Array {})(3)))];
  )js",
      R"([true,["x"],1,true,["1","2","__proto__","constructor"],null,20,["0","2","10","name"],false,4000000001,["4000000000"],true,true])");
}

TEST_CASE("getters run once and in order and their changes count as the standard says") {
  evaluates(R"js(
      const log = [];
      const object = { get a() { log.push('a'); return { get x() { log.push('x'); object.b = 5; return 1; } }; }, b: 1, get c() { log.push('c'); delete object.d; object.late = 1; return 3; }, d: 4 };
      const map = new Map();
      map.set({ get a() { map.set('late', 1); return 1; } }, 1);
      return [clone(object), log, clone(map).size, failure(() => clone({ get a() { throw new RangeError(); } }))];
  )js",
            R"([{"a":{"x":1},"b":5,"c":3},["a","x","c"],1,"RangeError"])");
}

TEST_CASE("errors keep their kind, message, stack and cause; DOMExceptions their name and code") {
  evaluates(
      R"js(
      const show = (error) => [tag(error), error.constructor.name, error.name, error.message, Object.keys(error).length, Object.hasOwn(error, 'message')].join();
      const error = new TypeError('t', { cause: { deep: new RangeError('r') } }), copy = clone(error);
      const exception = new DOMException('gone', 'NotFoundError'), other = clone({ exception }).exception;
      return [show(copy), copy.stack === error.stack, copy.cause.deep instanceof RangeError, Object.keys(copy).length, show(clone(new (class Own extends SyntaxError {})('s'))),
              show(clone(Object.assign(new Error('m'), { name: 'Own', code: 1 }))), show(clone(Object.assign(new Error(), { name: 'URIError' }))),
              clone(Object.defineProperty(new Error('q'), 'message', { get() { throw 1; } })).message,
              other instanceof DOMException, other !== exception, other.name, other.message, other.code, other.stack === exception.stack];
  )js",
      R"(["Error,TypeError,TypeError,t,0,true",true,true,0,"Error,SyntaxError,SyntaxError,s,0,true","Error,Error,Error,m,0,true","Error,URIError,URIError,,0,false","",)"
      R"(true,true,"NotFoundError","gone",8,true])");
}

TEST_CASE("a value that cannot be copied is a DataCloneError wherever it is") {
  evaluates(R"js(
      const hopeless = {
        function: () => {}, class: class {}, symbol: Symbol('s'), boxedSymbol: Object(Symbol('s')), promise: Promise.resolve(), weakMap: new WeakMap(), weakSet: new WeakSet(), weakRef: new WeakRef({}),
        registry: new FinalizationRegistry(() => {}), proxy: new Proxy({}, {}), proxyOfArray: new Proxy([], {}), arguments: (function () { return arguments; })(1), iterator: [].values(),
        mapIterator: new Map().keys(), generator: (function* () {})(), collator: new Intl.Collator(), text: ''[Symbol.iterator](), url: new URL('http://a/'), signal: new AbortController().signal,
        event: new Event('x'), target: new EventTarget(), decoder: new TextDecoder(), stream: new ReadableStream(), compressor: new CompressionStream('gzip'), parameters: new URLSearchParams(),
      };
      const wrong = [];
      for (const [name, value] of Object.entries(hopeless)) {
        for (const holder of [value, { value }, [value], new Map([[1, value]]), new Map([[value, 1]]), new Set([value]), new Error('e', { cause: value })]) {
          try { clone(holder); wrong.push(name); } catch (error) { if (!(error instanceof DOMException) || error.code !== DOMException.DATA_CLONE_ERR) wrong.push(`${name}: ${error}`); }
        }
      }
      let deep = {};
      for (let i = 0; i < 100000; i++) deep = { deep };
      let message;
      try { clone({ url: hopeless.url }); } catch (error) { ({ message } = error); }
      return [wrong, failure(() => clone(deep)), message];
  )js",
            R"([[],"RangeError","structuredClone: an object of class URL could not be cloned"])");
}

TEST_CASE("blobs and files and keys are cloned as such and lookalikes are not") {
  evaluates(
      R"js(
      const blob = new Blob(['caf\xe9', new Uint8Array([1, 2])], { type: 'Text/X' }), file = new File([blob, '!'], 'a.txt', { type: 'a/b', lastModified: 7 });
      const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
      const raw = new Uint8Array(16), aes = await crypto.subtle.importKey('raw', raw, 'AES-CBC', true, ['encrypt', 'decrypt']);
      aes.algorithm.name = 'changed'; aes.usages.length = 0;
      const copy = clone({ blob, again: blob, file, pair, map: new Map([[aes, aes]]) });
      const [[key, same]] = copy.map, { publicKey, privateKey } = copy.pair, iv = new Uint8Array(16);
      const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, privateKey, raw);
      const text = await crypto.subtle.decrypt({ name: 'AES-CBC', iv }, key, await crypto.subtle.encrypt({ name: 'AES-CBC', iv }, aes, raw));
      class Named extends File {}
      return [
        [tag(copy.blob), copy.blob !== blob, copy.again === copy.blob, copy.blob.size, copy.blob.type, await copy.blob.text() === await blob.text()],
        [tag(copy.file), copy.file instanceof Blob, copy.file.name, copy.file.type, copy.file.lastModified, await copy.file.slice(-1).text(), clone(new Named([], 'n')).constructor === File],
        [tag(key), key !== aes, key === same, key.type, key.extractable, key.usages.join(), JSON.stringify(key.algorithm), text.byteLength, (await crypto.subtle.exportKey('raw', key)).byteLength],
        [privateKey.type, privateKey.extractable, privateKey.usages.join(), publicKey.type, await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, pair.publicKey, signature, raw)],
        [await failureOf(() => crypto.subtle.exportKey('pkcs8', privateKey)), ...[Blob, File, CryptoKey].map(({ prototype }) => failure(() => clone(Object.create(prototype))))],
      ];
  )js",
      R"([["Blob",true,true,7,"text/x",true],["File",true,"a.txt","a/b",7,"!",true],["CryptoKey",true,true,"secret",true,"encrypt,decrypt","{\"name\":\"AES-CBC\",)"
      R"(\"length\":128}",16,16],["private",false,"sign","public",true],["InvalidAccessError","DataCloneError","DataCloneError","DataCloneError"]])");
}

TEST_CASE("buffers that are transferred are the copy's alone") {
  evaluates(
      R"js(
      const buffer = new ArrayBuffer(8), view = new Uint8Array(buffer);
      view[1] = 9;
      const copy = clone({ view, buffer }, { transfer: [buffer] });
      const kept = new ArrayBuffer(8), twice = new ArrayBuffer(8), stolen = new ArrayBuffer(8), unused = new ArrayBuffer(4);
      return [buffer.byteLength, view.length, copy.buffer.byteLength, copy.view[1], copy.view.buffer === copy.buffer,
              failure(() => clone([kept, () => {}], { transfer: [kept] })), kept.byteLength, failure(() => clone(1, { transfer: [twice, twice] })), twice.byteLength,
              failure(() => clone(buffer)), failure(() => clone(view)), failure(() => clone(1, { transfer: [buffer] })), failure(() => clone(1, { transfer: [{}] })),
              failure(() => clone(1, { transfer: [1] })), failure(() => clone(1, { transfer: 5 })), failure(() => clone(1, 5)), failure(() => clone()),
              failure(() => clone({ get a() { clone(stolen, { transfer: [stolen] }); return 1; } }, { transfer: [stolen] })),
              clone(1, { transfer: new Set([unused]) }), unused.byteLength, clone(1, null), clone(1, {})];
  )js",
      R"([0,0,8,9,true,"DataCloneError",8,"DataCloneError",8,"DataCloneError","DataCloneError","DataCloneError","DataCloneError",)"
      R"("TypeError","TypeError","TypeError","TypeError","DataCloneError",1,0,1,1])");
}

TEST_CASE("WebAssembly's modules are cloned, its memory is not, and cannot be transferred") {
  Daemon daemon({.modules = {{"module", std::string(kHelpers) + R"js(
      exports.f = () => {
        const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])), copy = clone({ module }).module;
        const memory = new WebAssembly.Memory({ initial: 1 });
        return [copy instanceof WebAssembly.Module, copy !== module, new WebAssembly.Instance(copy) instanceof WebAssembly.Instance, failure(() => clone(memory)),
                failure(() => clone(1, { transfer: [memory.buffer] })), clone(memory.buffer).byteLength];
      };
  )js"}}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == R"([true,true,true,"DataCloneError","TypeError",65536])");
}

TEST_CASE("a module that replaces functions that structuredClone uses does not change it") {
  evaluates(R"js(
      const value = { list: [1, 2], map: new Map([['k', new Set([1])]]), bytes: new Uint8Array([7]), date: new Date(3) };
      const reached = () => { throw new Error('reached'); };
      for (const key of ['list', 'map', 'extra', 'value', 'writable']) Object.defineProperty(Object.prototype, key, { __proto__: null, set: reached, get: reached, configurable: true });
      for (const key of ['0', '1']) Object.defineProperty(Array.prototype, key, { __proto__: null, set: reached, get: reached, configurable: true });
      Map.prototype.set = Map.prototype.get = Map.prototype.forEach = Set.prototype.add = Set.prototype.forEach = ArrayBuffer.prototype.slice = reached;
      globalThis.Map = globalThis.Set = globalThis.Date = globalThis.ArrayBuffer = globalThis.Uint8Array = globalThis.DOMException = reached;
      const copy = clone(value);
      const name = failure(() => clone(() => {}));
      for (const key of ['list', 'map', 'extra', 'value', 'writable']) delete Object.prototype[key];
      for (const key of ['0', '1']) delete Array.prototype[key];
      return [copy.list, copy.map.size, copy.bytes[0], copy.date.getTime(), name];
  )js",
            R"([[1,2],1,7,3,"DataCloneError"])");
}

}  // namespace
}  // namespace holdfast::test
