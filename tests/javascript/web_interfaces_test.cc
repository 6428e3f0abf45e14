// The shape of each web platform interface that modules see, as Web IDL specifies it (3.7).
#include <doctest/doctest.h>

#include <string_view>

#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

// One row for each interface: its parent, the length of its constructor, static operations, attributes ("=": writable)
// and operations, each operation with its length. An iterable interface has "iterable" or "async". Constants come last.
constexpr const char* kTable = R"js(
const table = {
  AbortController: ['', 0, '', 'signal', 'abort/0'],
  AbortSignal: ['EventTarget', 0, 'abort/0 any/1 timeout/1', 'aborted reason onabort=', 'throwIfAborted/0'],
  Blob: ['', 0, '', 'size type', 'slice/0 stream/0 text/0 arrayBuffer/0 bytes/0'],
  ByteLengthQueuingStrategy: ['', 1, '', 'highWaterMark size', ''],
  CompressionStream: ['', 1, '', 'readable writable', ''],
  CountQueuingStrategy: ['', 1, '', 'highWaterMark size', ''],
  Crypto: ['', 0, '', 'subtle', 'getRandomValues/1 randomUUID/0'],
  CryptoKey: ['', 0, '', 'type extractable algorithm usages', ''],
  CustomEvent: ['Event', 1, '', 'detail', 'initCustomEvent/1'],
  DOMException: ['Error', 0, '', 'name message code', '', '',
                 'INDEX_SIZE_ERR DOMSTRING_SIZE_ERR HIERARCHY_REQUEST_ERR WRONG_DOCUMENT_ERR INVALID_CHARACTER_ERR ' +
                 'NO_DATA_ALLOWED_ERR NO_MODIFICATION_ALLOWED_ERR NOT_FOUND_ERR NOT_SUPPORTED_ERR INUSE_ATTRIBUTE_ERR ' +
                 'INVALID_STATE_ERR SYNTAX_ERR INVALID_MODIFICATION_ERR NAMESPACE_ERR INVALID_ACCESS_ERR VALIDATION_ERR ' +
                 'TYPE_MISMATCH_ERR SECURITY_ERR NETWORK_ERR ABORT_ERR URL_MISMATCH_ERR QUOTA_EXCEEDED_ERR TIMEOUT_ERR ' +
                 'INVALID_NODE_TYPE_ERR DATA_CLONE_ERR'],
  DecompressionStream: ['', 1, '', 'readable writable', ''],
  ErrorEvent: ['Event', 1, '', 'message filename lineno colno error', ''],
  Event: ['', 1, '', 'type target srcElement currentTarget eventPhase cancelBubble= bubbles cancelable returnValue= ' +
                     'defaultPrevented composed timeStamp',
          'composedPath/0 initEvent/1 preventDefault/0 stopImmediatePropagation/0 stopPropagation/0', '',
          'NONE CAPTURING_PHASE AT_TARGET BUBBLING_PHASE'],
  EventTarget: ['', 0, '', '', 'addEventListener/2 removeEventListener/2 dispatchEvent/1'],
  File: ['Blob', 2, '', 'name lastModified', ''],
  FormData: ['', 0, '', '', 'append/2 delete/1 get/1 getAll/1 has/1 set/2', 'iterable'],
  Headers: ['', 0, '', '', 'append/2 delete/1 get/1 getSetCookie/0 has/1 set/2', 'iterable'],
  MessageChannel: ['', 0, '', 'port1 port2', ''],
  MessageEvent: ['Event', 1, '', 'data origin lastEventId source ports', 'initMessageEvent/1'],
  MessagePort: ['EventTarget', 0, '', 'onmessage= onmessageerror= onclose=', 'postMessage/1 start/0 close/0'],
  Navigator: ['', 0, '', 'userAgent', ''],
  Performance: ['EventTarget', 0, '', 'timeOrigin', 'now/0 toJSON/0'],
  PromiseRejectionEvent: ['Event', 2, '', 'promise reason', ''],
  ReadableByteStreamController: ['', 0, '', 'byobRequest desiredSize', 'close/0 enqueue/1 error/0'],
  ReadableStream: ['', 0, 'from/1', 'locked', 'cancel/0 getReader/0 pipeThrough/1 pipeTo/1 tee/0 values/0', 'async'],
  ReadableStreamBYOBReader: ['', 1, '', 'closed', 'cancel/0 read/1 releaseLock/0'],
  ReadableStreamBYOBRequest: ['', 0, '', 'view', 'respond/1 respondWithNewView/1'],
  ReadableStreamDefaultController: ['', 0, '', 'desiredSize', 'close/0 enqueue/0 error/0'],
  ReadableStreamDefaultReader: ['', 1, '', 'closed', 'cancel/0 read/0 releaseLock/0'],
  Request: ['', 1, '', 'method url headers destination referrer referrerPolicy mode credentials cache redirect ' +
                       'integrity keepalive isReloadNavigation isHistoryNavigation signal duplex body bodyUsed',
            'clone/0 arrayBuffer/0 blob/0 bytes/0 formData/0 json/0 text/0'],
  Response: ['', 0, 'error/0 json/1 redirect/1', 'type url redirected status ok statusText headers body bodyUsed',
             'clone/0 arrayBuffer/0 blob/0 bytes/0 formData/0 json/0 text/0'],
  SubtleCrypto: ['', 0, '', '', 'decrypt/3 deriveBits/2 deriveKey/5 digest/2 encrypt/3 exportKey/2 generateKey/3 ' +
                                'importKey/5 sign/3 unwrapKey/7 verify/4 wrapKey/4'],
  TextDecoder: ['', 0, '', 'encoding fatal ignoreBOM', 'decode/0'],
  TextDecoderStream: ['', 0, '', 'encoding fatal ignoreBOM readable writable', ''],
  TextEncoder: ['', 0, '', 'encoding', 'encode/0 encodeInto/2'],
  TextEncoderStream: ['', 0, '', 'encoding readable writable', ''],
  TransformStream: ['', 0, '', 'readable writable', ''],
  TransformStreamDefaultController: ['', 0, '', 'desiredSize', 'enqueue/0 error/0 terminate/0'],
  URL: ['', 1, 'canParse/1 parse/1', 'href= origin protocol= username= password= host= hostname= port= pathname= ' +
                                     'search= searchParams hash=', 'toJSON/0 toString/0'],
  URLPattern: ['', 0, '', 'protocol username password hostname port pathname search hash hasRegExpGroups',
               'test/0 exec/0'],
  URLSearchParams: ['', 0, '', 'size', 'append/2 delete/1 get/1 getAll/1 has/1 set/2 sort/0 toString/0', 'iterable'],
  WritableStream: ['', 0, '', 'locked', 'abort/0 close/0 getWriter/0'],
  WritableStreamDefaultController: ['', 0, '', 'signal', 'error/0'],
  WritableStreamDefaultWriter: ['', 1, '', 'closed desiredSize ready', 'abort/0 close/0 releaseLock/0 write/0'],
};
const iterable = 'entries/0 forEach/1 keys/0 values/0';
const words = (text) => text.split(' ').filter((word) => word !== '');
)js";

constexpr const char* kCheck = R"js(
exports.f = async () => {
  const wrong = [];
  const check = (holds, ...what) => { if (!holds) wrong.push(what.join(' ')); };
  // The exception or the rejection.
  const failure = async (use) => { try { await use(); } catch (error) { return error; } };
  const { getOwnPropertyDescriptor, getPrototypeOf, hasOwn } = Object;

  for (const [name, [parent, length, statics, attributes, operations, kind, constants = '']] of Object.entries(table)) {
    const global = getOwnPropertyDescriptor(globalThis, name);
    check(global && global.writable && !global.enumerable && global.configurable, name, 'on the global object');
    const type = globalThis[name], { prototype } = type;
    check(type.name === name && type.length === length, name, 'name and length', type.name, type.length);
    const { writable, enumerable, configurable } = getOwnPropertyDescriptor(type, 'prototype');
    check(!writable && !enumerable && !configurable, name, 'prototype');
    // Only DOMException's prototype inherits (Web IDL, 3.14.3).
    const above = parent === '' || parent === 'Error' ? Function.prototype : globalThis[parent];
    check(getPrototypeOf(type) === above, name, 'parent');
    check(getPrototypeOf(prototype) === (parent === '' ? Object : globalThis[parent]).prototype, name, 'prototype of the prototype');
    const constructor = getOwnPropertyDescriptor(prototype, 'constructor');
    check(constructor.value === type && constructor.writable && !constructor.enumerable && constructor.configurable, name, 'constructor');
    const tag = getOwnPropertyDescriptor(prototype, Symbol.toStringTag);
    check(tag && tag.value === name && !tag.writable && !tag.enumerable && tag.configurable, name, 'tag');
    check((await failure(() => type())) instanceof TypeError, name, 'without new');

    for (const holder of [type, prototype]) {
      for (const operation of words(holder === type ? statics : `${operations} ${kind === 'iterable' ? iterable : ''}`)) {
        const [key, length] = operation.split('/');
        const descriptor = getOwnPropertyDescriptor(holder, key);
        check(descriptor && descriptor.writable && descriptor.enumerable && descriptor.configurable, name, key);
        const { value } = descriptor;
        check(value.name === key && value.length === Number(length), name, key, 'name and length', value.name, value.length);
        if (holder === type) continue;
        for (const other of [{}, Object.create(prototype), undefined]) {
          const error = await failure(() => value.apply(other, Array(value.length).fill('x')));
          check(error instanceof TypeError, name, key, 'of something else', error);
        }
      }
    }
    for (const attribute of words(attributes)) {
      const key = attribute.replace('=', ''), canBeSet = attribute !== key;
      const descriptor = getOwnPropertyDescriptor(prototype, key);
      check(descriptor && descriptor.get && descriptor.enumerable && descriptor.configurable, name, key);
      check(descriptor.get.name === `get ${key}` && (descriptor.set !== undefined) === canBeSet, name, key, 'accessors');
      check(descriptor.set === undefined || descriptor.set.name === `set ${key}`, name, key, 'setter');
      for (const other of [{}, Object.create(prototype), undefined]) {
        const error = await failure(() => descriptor.get.call(other));
        check(error instanceof TypeError, name, key, 'of something else', error);
      }
    }
    if (kind === 'iterable') {
      const iterator = getOwnPropertyDescriptor(prototype, Symbol.iterator);
      check(iterator.value === prototype.entries && iterator.writable && !iterator.enumerable && iterator.configurable, name, 'iterator');
      const of = getPrototypeOf(new type().entries());
      check(of[Symbol.toStringTag] === `${name} Iterator`, name, 'tag of its iterators');
      check(getPrototypeOf(getPrototypeOf([][Symbol.iterator]())) === getPrototypeOf(of), name, 'prototype of its iterators');
    }
    if (kind === 'async') check(prototype[Symbol.asyncIterator] === prototype.values, name, 'async iterator');
    for (const constant of words(constants)) {
      for (const holder of [type, prototype]) {
        const { value, writable, enumerable, configurable } = getOwnPropertyDescriptor(holder, constant);
        check(Number.isInteger(value) && !writable && enumerable && !configurable, name, constant);
      }
    }
    // Beyond the standards an interface may have only symbols of the packages that implement it.
    const known = new Set([...words(`${statics} ${operations} ${iterable}`).map((word) => word.split('/')[0]),
      ...words(attributes).map((word) => word.replace('=', '')), ...words(constants), 'length', 'name', 'prototype', 'constructor']);
    for (const key of [...Object.getOwnPropertyNames(type), ...Object.getOwnPropertyNames(prototype)]) {
      check(known.has(key), name, 'has', key);
    }
  }
  for (const name of ['fetch', 'reportError', 'atob', 'btoa', 'queueMicrotask', 'structuredClone',
      'setTimeout', 'setInterval', 'clearTimeout', 'clearInterval']) {
    const { writable, enumerable, configurable, value } = getOwnPropertyDescriptor(globalThis, name);
    check(writable && enumerable && configurable, name);
    check(value.name === name && value.length === (name.startsWith('clear') ? 0 : 1), name, 'name and length');
    check(!hasOwn(value, 'prototype'), name, 'is a constructor');
  }
  for (const create of [() => new Navigator(), () => new Performance(), () => new ReadableStreamDefaultController(),
      () => new ReadableByteStreamController(), () => new ReadableStreamBYOBRequest(),
      () => new WritableStreamDefaultController(), () => new TransformStreamDefaultController()]) {
    check(String(await failure(create)) === 'TypeError: Illegal constructor', create);
  }
  return [wrong, Object.keys(table).length];
};
)js";

constexpr const char* kGlobals = R"js(
const ofECMAScript = words('AggregateError Array ArrayBuffer Atomics BigInt BigInt64Array BigUint64Array Boolean DataView Date Error ' +
  'EvalError FinalizationRegistry Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array Intl JSON Map Math NaN ' +
  'Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String Symbol SyntaxError TypeError URIError Uint16Array ' +
  'Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakRef WeakSet decodeURI decodeURIComponent encodeURI encodeURIComponent escape ' +
  'eval globalThis isFinite isNaN parseFloat parseInt undefined unescape');
const namespaces = ['WebAssembly', 'console', 'process'];
const operations = words('atob btoa clearInterval clearTimeout fetch queueMicrotask reportError setInterval setTimeout structuredClone');
const attributes = words('crypto navigator onerror onrejectionhandled onunhandledrejection performance self');
// Properties of the packages that the classes are made of. They name functions of the packages, which a module may
// call.
const excused = [
  [/^(Promise|ReadableStream|URL|URLSearchParams|FormData|Headers|Request|Response)$/, /^nodejs\.util\.inspect\.custom$/],
  [/^(Readable|Writable)\w+Controller$/, /^\[\[\w+Steps\]\]$/],
];

exports.f = () => {
  const { getOwnPropertyDescriptor, getOwnPropertyNames, getOwnPropertySymbols, getPrototypeOf } = Object;
  const known = [...ofECMAScript, ...namespaces, ...operations, ...attributes, ...Object.keys(table)];
  const there = getOwnPropertyNames(globalThis), wrong = [];
  for (const name of there) if (!known.includes(name)) wrong.push(`${name} is there`);
  for (const name of known) if (!there.includes(name) && name !== 'WebAssembly') wrong.push(`${name} is not there`);
  for (const name of there) {
    const canBeListed = operations.includes(name) || attributes.includes(name);
    if (getOwnPropertyDescriptor(globalThis, name).enumerable !== canBeListed) wrong.push(`${name} is enumerable, or is not`);
  }
  const listed = [];
  for (const name in globalThis) listed.push(name);
  const inherited = words(table.EventTarget[4]).map((word) => word.split('/')[0]);
  if (String(listed.sort()) !== String([...operations, ...attributes, ...inherited].sort())) wrong.push(`listed: ${listed}`);

  const wellKnown = getOwnPropertyNames(Symbol).map((name) => Symbol[name]);
  const holders = [['the global object', globalThis], ['its prototype', getPrototypeOf(globalThis)]];
  for (const name of there) {
    const value = globalThis[name];
    if (Object(value) !== value || value === globalThis) continue;
    holders.push([name, value]);
    if (Object(value.prototype) === value.prototype) holders.push([name, value.prototype]);
  }
  for (const [name, holder] of holders) {
    for (const symbol of getOwnPropertySymbols(holder)) {
      const isExcused = excused.some(([names, symbols]) => names.test(name) && symbols.test(symbol.description));
      if (!wellKnown.includes(symbol) && !isExcused) wrong.push(`${name} has ${String(symbol)}`);
    }
  }
  return [wrong, getOwnPropertyNames(getPrototypeOf(globalThis)), holders.length > 100];
};
)js";

TEST_CASE("each interface of the web platform has the members, names, lengths, tags and brands of the standards") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {{"module", std::string(kTable) + kCheck}}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"module", "f"})) == "[[],44]");
  }
}

TEST_CASE("the global object has what the standards name, listed as they say, and nothing else") {
  for (const char* profile : {"jit", "strict"}) {
    CAPTURE(std::string_view(profile));
    Daemon daemon({.modules = {{"module", std::string(kTable) + kGlobals}}, .flags = {"--profile", profile}});
    ipc::Client client = daemon.connect();
    CHECK(outcome(call(client, {"module", "f"})) == "[[],[],true]");
  }
}

}  // namespace
}  // namespace holdfast::test
