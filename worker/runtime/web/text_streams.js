// TextEncoderStream and TextDecoderStream (Encoding Standard, 7.7 and 7.8).
import { TransformStream, TransformStreamDefaultController } from './streams.js';

const { makeSlot, publish, isObject } = runtime.webIdl;
const { apply } = Reflect;
const { getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { charCodeAt, slice } = String.prototype;
const byteLengthOf = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), 'byteLength').get;

const getter = (Interface, name) => getOwnPropertyDescriptor(Interface.prototype, name).get;
const { encode } = TextEncoder.prototype;
const { decode } = TextDecoder.prototype;
const encodingOf = getter(TextDecoder, 'encoding');
const fatalOf = getter(TextDecoder, 'fatal');
const ignoreBOMOf = getter(TextDecoder, 'ignoreBOM');
const readableOf = getter(TransformStream, 'readable');
const writableOf = getter(TransformStream, 'writable');
const { enqueue } = TransformStreamDefaultController.prototype;

const nothing = Object.freeze({ __proto__: null });
const more = Object.freeze({ __proto__: null, stream: true });

// A TransformStream whose steps no module can replace.
function makeTransform(transform, flush) {
  return new TransformStream({ __proto__: null, transform, flush });
}

// --- encoding ------------------------------------------------------------------------------------------------------

const EncoderSlot = makeSlot();

const isLead = (unit) => unit >= 0xd800 && unit < 0xdc00;

class TextEncoderStream {
  constructor() {
    const encoder = new TextEncoder();
    // The first half of a pair whose second half may begin the next chunk.
    let lead = '';
    const put = (text, controller) => {
      const bytes = apply(encode, encoder, [text]);
      if (apply(byteLengthOf, bytes, []) > 0) apply(enqueue, controller, [bytes]);
    };
    new EncoderSlot(this, makeTransform((chunk, controller) => {
      let text = lead + `${chunk}`;
      lead = '';
      if (text !== '' && isLead(apply(charCodeAt, text, [text.length - 1]))) {
        lead = apply(slice, text, [-1]);
        text = apply(slice, text, [0, -1]);
      }
      put(text, controller);
    }, (controller) => put(lead, controller)));
  }
  get encoding() {
    EncoderSlot.of(this);
    return 'utf-8';
  }
  get readable() { return apply(readableOf, EncoderSlot.of(this), []); }
  get writable() { return apply(writableOf, EncoderSlot.of(this), []); }
}

// --- decoding ------------------------------------------------------------------------------------------------------

const DecoderSlot = makeSlot();

class TextDecoderStream {
  constructor(label = 'utf-8', options = undefined) {
    const decoder = new TextDecoder(label, options ?? {});
    const put = (text, controller) => {
      if (text !== '') apply(enqueue, controller, [text]);
    };
    const transform = makeTransform((chunk, controller) => {
      // What else decode() may take for no bytes is no chunk.
      if (!isObject(chunk)) throw new TypeError('TextDecoderStream: each chunk must be an ArrayBuffer or a view of one');
      put(apply(decode, decoder, [chunk, more]), controller);
    }, (controller) => put(apply(decode, decoder, [undefined, nothing]), controller));
    new DecoderSlot(this, { __proto__: null, decoder, transform });
  }
  get encoding() { return apply(encodingOf, DecoderSlot.of(this).decoder, []); }
  get fatal() { return apply(fatalOf, DecoderSlot.of(this).decoder, []); }
  get ignoreBOM() { return apply(ignoreBOMOf, DecoderSlot.of(this).decoder, []); }
  get readable() { return apply(readableOf, DecoderSlot.of(this).transform, []); }
  get writable() { return apply(writableOf, DecoderSlot.of(this).transform, []); }
}

publish(TextEncoderStream);
publish(TextDecoderStream);
