// CompressionStream and DecompressionStream (Compression Standard, https://compression.spec.whatwg.org).
//
// Evaluated after web_idl.js (slots, publishing globals); transforms.js (makeTransform).
'use strict';

const { makeCompressor, makeDecompressor, pushBytes, pullBytes } = host;
const { makeSlot, publish, needArguments } = runtime.webIdl;
const { makeTransform } = runtime.transforms;
const TypeErrorConstructor = TypeError;

// Numbered as in native_compression.h.
const formats = { __proto__: null, 'gzip': 0, 'deflate': 1, 'deflate-raw': 2 };

function toFormat(value, where) {
  const format = formats[`${value}`];
  if (format !== undefined) return format;
  throw new TypeErrorConstructor(`${where}: the format must be "gzip", "deflate" or "deflate-raw"`);
}

function sendParts(stream, isLast, send) {
  for (;;) {
    const part = pullBytes(stream, isLast);
    if (part === undefined) return;
    if (part !== null) send(part);
  }
}

const makeEnds = (stream) => makeTransform((chunk, send) => {
  pushBytes(stream, chunk);
  sendParts(stream, false, send);
}, (send) => sendParts(stream, true, send));

const CompressionSlot = makeSlot();

class CompressionStream {
  constructor(format) {
    needArguments(arguments.length, 1, 'CompressionStream');
    new CompressionSlot(this, makeEnds(makeCompressor(toFormat(format, 'CompressionStream'))));
  }
  get readable() { return CompressionSlot.of(this).readable; }
  get writable() { return CompressionSlot.of(this).writable; }
}
publish(CompressionStream);

const DecompressionSlot = makeSlot();

class DecompressionStream {
  constructor(format) {
    needArguments(arguments.length, 1, 'DecompressionStream');
    new DecompressionSlot(this, makeEnds(makeDecompressor(toFormat(format, 'DecompressionStream'))));
  }
  get readable() { return DecompressionSlot.of(this).readable; }
  get writable() { return DecompressionSlot.of(this).writable; }
}
publish(DecompressionStream);
