// Blob and File (File API, https://w3c.github.io/FileAPI/).
import { ReadableStream } from './streams.js';

const { makeSlot, publish, isObject, needArguments, toDictionary } = runtime.webIdl;
const { cloneable } = runtime;
const { apply } = Reflect;
const { getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { isView } = ArrayBuffer;
const { now } = Date;
const { max, min, round, trunc } = Math;
const { exec } = RegExp.prototype;
const { replace, toLowerCase, toWellFormed } = String.prototype;
const { push } = Array.prototype;
const { encode } = TextEncoder.prototype;
const { decode } = TextDecoder.prototype;
const encoder = new TextEncoder();
const { asIntN } = BigInt;

const getterOf = (prototype, name) => getOwnPropertyDescriptor(prototype, name).get;
const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
const { set, slice: sliceOfTyped, subarray } = TypedArrayPrototype;
const tagOfTyped = getterOf(TypedArrayPrototype, Symbol.toStringTag);
const ofTyped = ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(TypedArrayPrototype, name));
const ofDataView = ['buffer', 'byteOffset', 'byteLength'].map((name) => getterOf(DataView.prototype, name));
const byteLengthOfBuffer = getterOf(ArrayBuffer.prototype, 'byteLength');

// Streamed bytes are copied in pieces of at most this size, so that what a reader does not read is not copied.
const mostInOneChunk = 65536;

const lengthOf = (bytes) => apply(ofTyped[2], bytes, []);

// The bytes of a buffer or a view, in place; undefined for anything else.
function bytesOf(value) {
  if (isView(value)) {
    const { 0: buffer, 1: offset, 2: length } = apply(tagOfTyped, value, []) === undefined ? ofDataView : ofTyped;
    try {
      return new Uint8Array(apply(buffer, value, []), apply(offset, value, []), apply(length, value, []));
    } catch {
      return new Uint8Array(0);  // detached
    }
  }
  try {
    apply(byteLengthOfBuffer, value, []);
  } catch {
    return undefined;
  }
  try {
    return new Uint8Array(value);
  } catch {
    return new Uint8Array(0);  // detached
  }
}

// --- what is in a blob ---------------------------------------------------------------------------------------------

// { size, type, parts }: no code outside has or changes the Uint8Arrays, so that blobs can share them.
const BlobSlot = makeSlot();

function toSequence(value, where) {
  const iterator = isObject(value) ? value[Symbol.iterator] : undefined;
  if (typeof iterator !== 'function') {
    throw new TypeError(`${where}: the parts must be an iterable object, such as an array`);
  }
  const given = [];
  for (const part of { __proto__: null, [Symbol.iterator]: () => apply(iterator, value, []) }) {
    const isBuffer = BlobSlot.has(part) || bytesOf(part) !== undefined;
    apply(push, given, [isBuffer ? part : apply(toWellFormed, `${part}`, [])]);
  }
  return given;
}

function toEndings(value, where) {
  if (value === undefined) return 'transparent';
  const endings = `${value}`;
  if (endings !== 'transparent' && endings !== 'native') {
    throw new TypeError(`${where}: endings must be "transparent" or "native", but it is "${endings}"`);
  }
  return endings;
}

function toType(value) {
  const type = `${value}`;
  return apply(exec, /^[\x20-\x7e]*$/, [type]) === null ? '' : apply(toLowerCase, type, []);
}

// BlobPropertyBag, in the order in which Web IDL reads its members.
function toBag(options, where) {
  const dictionary = toDictionary(options, where);
  const endings = toEndings(dictionary.endings, where);
  const { type } = dictionary;
  return { __proto__: null, endings, type: type === undefined ? '' : toType(type) };
}

function makeState(given, { endings, type }) {
  const parts = [];
  let size = 0;
  const add = (bytes) => {
    const length = lengthOf(bytes);
    if (length === 0) return;
    size += length;
    apply(push, parts, [bytes]);
  };
  for (let at = 0; at < given.length; at++) {
    const part = given[at];
    if (typeof part === 'string') {
      add(apply(encode, encoder, [endings === 'native' ? apply(replace, part, [/\r\n?/g, '\n']) : part]));
    } else if (BlobSlot.has(part)) {
      const { parts: shared } = BlobSlot.of(part);
      for (let of = 0; of < shared.length; of++) add(shared[of]);
    } else {
      add(new Uint8Array(bytesOf(part)));
    }
  }
  return { __proto__: null, size, type, parts };
}

// Web IDL's [Clamp] long long.
function clamped(value) {
  const number = +value;
  if (number !== number) return 0;
  const kept = min(max(number, -Number.MAX_SAFE_INTEGER), Number.MAX_SAFE_INTEGER);
  // To the nearest integer; halves to the even one.
  const nearest = round(kept);
  return nearest - kept === 0.5 && nearest % 2 !== 0 ? nearest - 1 : nearest;
}

// Where a slice begins or ends. A negative value counts from the end.
const position = (value, size) => value < 0 ? max(size + value, 0) : min(value, size);

function slicedParts({ parts }, begin, end) {
  const sliced = [];
  let at = 0;
  for (let index = 0; index < parts.length && at < end; index++) {
    const length = lengthOf(parts[index]);
    const from = max(begin - at, 0), to = min(end - at, length);
    if (from < to) apply(push, sliced, [apply(subarray, parts[index], [from, to])]);
    at += length;
  }
  return sliced;
}

function wholeOf({ size, parts }) {
  const whole = new Uint8Array(size);
  let at = 0;
  for (let index = 0; index < parts.length; index++) {
    apply(set, whole, [parts[index], at]);
    at += lengthOf(parts[index]);
  }
  return whole;
}

function streamOf({ parts }) {
  let index = 0, at = 0;
  return new ReadableStream({
    __proto__: null,
    type: 'bytes',
    pull(controller) {
      if (index === parts.length) {
        controller.close();
        const { byobRequest } = controller;
        if (byobRequest !== null) byobRequest.respond(0);
        return;
      }
      const part = parts[index];
      const end = min(at + mostInOneChunk, lengthOf(part));
      controller.enqueue(apply(sliceOfTyped, part, [at, end]));
      at = end;
      if (at === lengthOf(part)) {
        index++;
        at = 0;
      }
    },
  }, { __proto__: null, highWaterMark: 0 });
}

// --- the interfaces ------------------------------------------------------------------------------------------------

// File's constructor passes this to Blob's, which then leaves the rest to it.
const ofFile = {};

class Blob {
  constructor(blobParts = undefined, options = undefined) {
    if (blobParts === ofFile) return;
    const given = blobParts === undefined ? [] : toSequence(blobParts, 'Blob');
    new BlobSlot(this, makeState(given, toBag(options, 'Blob')));
  }
  get size() { return BlobSlot.of(this).size; }
  get type() { return BlobSlot.of(this).type; }
  slice(start = undefined, end = undefined, contentType = undefined) {
    const state = BlobSlot.of(this);
    const { size } = state;
    const begin = start === undefined ? 0 : position(clamped(start), size);
    const stop = max(end === undefined ? size : position(clamped(end), size), begin);
    const type = contentType === undefined ? '' : toType(contentType);
    return makeBlob({ __proto__: null, size: stop - begin, type, parts: slicedParts(state, begin, stop) });
  }
  stream() { return streamOf(BlobSlot.of(this)); }
  async text() { return apply(decode, new TextDecoder(), [wholeOf(BlobSlot.of(this))]); }
  async arrayBuffer() { return apply(ofTyped[0], wholeOf(BlobSlot.of(this)), []); }
  async bytes() { return wholeOf(BlobSlot.of(this)); }
}

const BlobPrototype = Blob.prototype;

function makeBlob(state) {
  const blob = Object.create(BlobPrototype);
  new BlobSlot(blob, state);
  return blob;
}

// Web IDL's long long.
function toLongLong(value) {
  const number = trunc(+value);
  return Number.isFinite(number) ? Number(asIntN(64, BigInt(number))) : 0;
}

const FileSlot = makeSlot();

class File extends Blob {
  constructor(fileBits, fileName, options = undefined) {
    needArguments(arguments.length, 2, 'File');
    const given = toSequence(fileBits, 'File');
    const name = apply(toWellFormed, `${fileName}`, []);
    const bag = toBag(options, 'File');
    const { lastModified } = toDictionary(options, 'File');
    const modified = lastModified === undefined ? now() : toLongLong(lastModified);
    super(ofFile);
    new BlobSlot(this, makeState(given, bag));
    new FileSlot(this, { __proto__: null, name, lastModified: modified });
  }
  get name() { return FileSlot.of(this).name; }
  get lastModified() { return FileSlot.of(this).lastModified; }
}

const FilePrototype = File.prototype;

publish(Blob);
publish(File);

// A copy shares the bytes, as a slice does.
cloneable.register(Blob, BlobSlot.has, (blob) => makeBlob(BlobSlot.of(blob)));
cloneable.register(File, FileSlot.has, (file) => {
  const copy = Object.create(FilePrototype);
  new BlobSlot(copy, BlobSlot.of(file));
  new FileSlot(copy, FileSlot.of(file));
  return copy;
});

// The blob's bytes, which nothing else has; undefined if the value is not a blob.
function bytesOfBlob(value) { return BlobSlot.has(value) ? wholeOf(BlobSlot.of(value)) : undefined; }

export { Blob, File, bytesOfBlob };
