// Fetch Standard, 2.2.4: to fully read a body. undici awaits a promise for each chunk, and what such a promise is
// resolved with is asked for a `then`, which a module may have put on Object.prototype. Evaluated before undici's body.js,
// which takes this function in the place of undici's own.
import util from 'undici/lib/web/fetch/util.js';
import { ReadableStream, WritableStream } from './streams.js';
import { errorOf, isErrored } from './shims/stream.js';
import { isUint8Array } from './shims/util_types.js';

const { apply } = Reflect;
const { then } = Promise.prototype;
const { push } = Array.prototype;
const { getReader, pipeTo } = ReadableStream.prototype;
const { encode } = TextEncoder.prototype;
const encoder = new TextEncoder();
const ignore = () => {};

const readerOf = (stream) => apply(getReader, stream, []);

// What a body was made of is at hand, and its stream is still whole: nobody else will read that any more.
function takeSource({ source, stream }) {
  apply(then, readerOf(stream).cancel(), [ignore, ignore]);
  return Buffer.from(typeof source === 'string' ? apply(encode, encoder, [source]) : source);
}

// A pipe reads without promises of chunks. Afterwards the stream is as one that was read by a reader is: locked.
function pipeToEnd(stream, succeed, fail) {
  const chunks = [];
  let size = 0;
  const sink = new WritableStream({
    __proto__: null,
    write(chunk) {
      if (!isUint8Array(chunk)) throw new TypeError('Received non-Uint8Array chunk');
      apply(push, chunks, [chunk]);
      size += chunk.length;
    },
  });
  const finish = (act) => {
    try {
      readerOf(stream);
      act();
    } catch (error) {
      fail(error);
    }
  };
  apply(then, apply(pipeTo, stream, [sink, { __proto__: null, preventCancel: true }]), [
    () => finish(() => succeed(Buffer.concat(chunks, size))), (error) => finish(() => fail(error)),
  ]);
}

util.fullyReadBody = (body, succeed, fail) => {
  const { source, stream } = body;
  try {
    if (typeof source === 'string' || isUint8Array(source)) {
      succeed(takeSource(body));
    } else if (isErrored(stream)) {
      fail(errorOf(stream));
    } else {
      if (stream.locked) throw new TypeError('the stream is locked');
      pipeToEnd(stream, succeed, fail);
    }
  } catch (error) {
    fail(error);
  }
};
