// Fetch Standard, 2.2.4: fully reading a body. undici awaits a promise for each chunk. What such a promise is
// resolved with is asked for a `then`, which a module may have put on Object.prototype. Evaluated before undici's
// body.js, which uses this function instead of undici's own.
import util from 'undici/lib/web/fetch/util.js';
import { bytesOfBlob } from './blob.js';
import { ReadableStream, ReadableStreamDefaultController } from './streams.js';
import { errorOf, isErrored } from './shims/stream.js';
import { isUint8Array } from './shims/util_types.js';

const { apply } = Reflect;
const { getOwnPropertyDescriptor, getOwnPropertySymbols, getPrototypeOf } = Object;
const { then } = Promise.prototype;
const { push } = Array.prototype;
const { getReader } = ReadableStream.prototype;
const { encode } = TextEncoder.prototype;
const typedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
const { set } = typedArrayPrototype;
const lengthOf = getOwnPropertyDescriptor(typedArrayPrototype, 'length').get;
const encoder = new TextEncoder();
const ignore = () => {};

// Streams Standard, [[PullSteps]], which takes the package's own form of a read request.
const pullSteps = getOwnPropertySymbols(ReadableStreamDefaultController.prototype)
  .find(({ description }) => description === '[[PullSteps]]');

// The bytes of a body's source, if nothing can have changed them; undefined for a stream or a form.
function sourceBytes({ source }) {
  if (typeof source === 'string') return apply(encode, encoder, [source]);
  return isUint8Array(source) ? source : bytesOfBlob(source);
}

function joined(chunks, size) {
  const whole = Buffer.allocUnsafe(size);
  let at = 0;
  for (let index = 0; index < chunks.length; index++) {
    apply(set, whole, [chunks[index], at]);
    at += apply(lengthOf, chunks[index], []);
  }
  return whole;
}

// Streams Standard, 4.3.3, "read all bytes" of a stream that has a reader.
function readAllBytes(stream, succeed, fail) {
  const chunks = [];
  let size = 0, wantsMore, isPulling = false;
  const pull = () => {
    isPulling = true;
    // Queued chunks come at once. A loop, because there may be more of them than calls fit on the stack.
    do {
      wantsMore = false;
      if (stream._state === 'readable') {
        stream._readableStreamController[pullSteps](request);
      } else if (isErrored(stream)) {
        fail(errorOf(stream));
      } else {
        request._closeSteps();
      }
    } while (wantsMore);
    isPulling = false;
  };
  const request = {
    __proto__: null,
    _chunkSteps(chunk) {
      if (!isUint8Array(chunk)) return fail(new TypeError('Received non-Uint8Array chunk'));
      apply(push, chunks, [chunk]);
      size += apply(lengthOf, chunk, []);
      wantsMore = true;
      if (!isPulling) pull();
    },
    _closeSteps() {
      try {
        succeed(joined(chunks, size));
      } catch (error) {
        fail(error);
      }
    },
    _errorSteps: fail,
  };
  stream._disturbed = true;
  pull();
}

util.fullyReadBody = (body, succeed, fail) => {
  const { stream } = body;
  if (isErrored(stream)) return fail(errorOf(stream));
  try {
    const bytes = sourceBytes(body);
    const reader = apply(getReader, stream, []);
    if (bytes === undefined) return readAllBytes(stream, succeed, fail);
    // Nothing else can read the stream any more.
    apply(then, reader.cancel(), [ignore, ignore]);
    succeed(Buffer.from(bytes));
  } catch (error) {
    fail(error);
  }
};
