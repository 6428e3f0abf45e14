// Fetch Standard: Headers, Request, Response and FormData as Node.js has them. Of fetch(), what needs no network.
import './fetch_before.js';
// The modules that undici's files take from each other when they are evaluated.
import './body_reading.js';
import './body_cloning.js';
// Before request.js, which needs its conversions when it is evaluated.
import { Response, filterResponse, fromInnerResponse, makeResponse } from 'undici/lib/web/fetch/response.js';
import { Request, getRequestState } from 'undici/lib/web/fetch/request.js';
import { FormData } from 'undici/lib/web/fetch/formdata.js';
import { Headers } from 'undici/lib/web/fetch/headers.js';
import { safelyExtractBody } from 'undici/lib/web/fetch/body.js';
import { dataURLProcessor, serializeAMimeType } from 'undici/lib/web/fetch/data-url.js';
import { defineGlobals } from './globals.js';
import { ReadableStream } from './streams.js';

const { needArguments } = runtime.webIdl;
const { apply } = Reflect;
const { then } = Promise.prototype;
const { cancel } = ReadableStream.prototype;
const { addEventListener } = EventTarget.prototype;
const { set: weakMapSet } = WeakMap.prototype;
const ignore = () => {};

// Reading the rest of a response ends with the request's signal, which lives as long as the request.
const requests = new WeakMap();

function streamOf(bytes, request) {
  const { signal } = request;
  let controller;
  const stream = new ReadableStream({
    __proto__: null,
    type: 'bytes',
    start(given) {
      controller = given;
      if (bytes.length !== 0) controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
  });
  apply(weakMapSet, requests, [stream, request]);
  apply(addEventListener, signal, ['abort', () => controller.error(signal.reason)]);
  return stream;
}

// Fetch Standard, 4.3 (scheme fetch): a data: URL carries its own answer.
function answerOf(url, request) {
  const data = dataURLProcessor(url);
  if (data === 'failure') throw new TypeError('fetch failed: the data: URL cannot be read');
  return fromInnerResponse(filterResponse(makeResponse({
    statusText: 'OK',
    headersList: [['content-type', { name: 'Content-Type', value: serializeAMimeType(data.mimeType) }]],
    body: safelyExtractBody(streamOf(data.body, request))[0],
    urlList: [url],
  }), 'basic'), 'immutable');
}

async function fetch(input, init = undefined) {
  needArguments(arguments.length, 1, 'fetch');
  const request = new Request(input, init);
  const { signal } = request;
  const { urlList: [url], body } = getRequestState(request);
  if (signal.aborted) {
    const { reason } = signal;
    if (body !== null) apply(then, apply(cancel, body.stream, [reason]), [ignore, ignore]);
    throw reason;
  }
  if (url.protocol === 'data:') return answerOf(url, request);
  throw new TypeError('fetch failed: modules have no network access');
}

// undici adds this property by mistake.
delete Request.prototype.attribute;

// Brand checks that undici lacks: it returns iterators for anything that inherits from its prototypes, and a
// request's `duplex` for any object, too.
for (const { prototype } of [FormData, Headers]) {
  const { entries, forEach, has, keys, values } = prototype;
  const check = (object) => Reflect.apply(has, object, ['x']);
  const checked = {
    entries() { return check(this), Reflect.apply(entries, this, []); },
    forEach(callback) { return check(this), Reflect.apply(forEach, this, arguments); },
    keys() { return check(this), Reflect.apply(keys, this, []); },
    values() { return check(this), Reflect.apply(values, this, []); },
  };
  for (const name of Object.keys(checked)) {
    Object.defineProperty(prototype, name, { value: checked[name] });
  }
  Object.defineProperty(prototype, Symbol.iterator, { value: checked.entries });
}
const methodOf = Object.getOwnPropertyDescriptor(Request.prototype, 'method').get;
const checked = {
  get duplex() { return Reflect.apply(methodOf, this, []) && 'half'; },
};
Object.defineProperty(Request.prototype, 'duplex', { get: Object.getOwnPropertyDescriptor(checked, 'duplex').get });

defineGlobals({ FormData, Headers, Request, Response, fetch });
