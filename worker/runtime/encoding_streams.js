// TextEncoderStream and TextDecoderStream (Encoding Standard, 7.5 and 7.6).
//
// Evaluated after encoding.js (decoders); web_idl.js (slots, publishing globals); transforms.js (makeTransform).
'use strict';

const { encodeText } = host;
const { noBytes, makeDecoder, decode, nameOf } = runtime.textEncoding;
const { makeSlot, publish } = runtime.webIdl;
const { makeTransform } = runtime.transforms;
const { apply } = Reflect;
const stringCharCodeAt = String.prototype.charCodeAt;
const stringSlice = String.prototype.slice;

// --- TextDecoderStream ---------------------------------------------------------------------------------------------

const DecoderSlot = makeSlot();

class TextDecoderStream {
  constructor(label = 'utf-8', options = undefined) {
    const decoder = makeDecoder(label, options, 'TextDecoderStream');
    const sendText = (input, more, send) => {
      const text = decode(decoder, input, more);
      if (text !== '') send(text);
    };
    new DecoderSlot(this, makeTransform(
      (chunk, send) => sendText(chunk, true, send), (send) => sendText(noBytes, false, send), decoder));
  }
  get encoding() { return nameOf(DecoderSlot.of(this).rest); }
  get fatal() { return DecoderSlot.of(this).rest.fatal; }
  get ignoreBOM() { return DecoderSlot.of(this).rest.ignoreBOM; }
  get readable() { return DecoderSlot.of(this).readable; }
  get writable() { return DecoderSlot.of(this).writable; }
}
publish(TextDecoderStream);

// --- TextEncoderStream ---------------------------------------------------------------------------------------------

const isLeadSurrogate = (unit) => unit >= 0xD800 && unit <= 0xDBFF;

const EncoderSlot = makeSlot();

class TextEncoderStream {
  constructor() {
    // The first half of a surrogate pair whose second half may come with the next chunk.
    let pending = '';
    const sendBytes = (text, send) => {
      if (text !== '') send(encodeText(text));
    };
    new EncoderSlot(this, makeTransform((chunk, send) => {
      const text = pending + `${chunk}`;
      const end = text.length - (isLeadSurrogate(apply(stringCharCodeAt, text, [text.length - 1])) ? 1 : 0);
      pending = apply(stringSlice, text, [end]);
      sendBytes(apply(stringSlice, text, [0, end]), send);
    }, (send) => sendBytes(pending, send)));
  }
  get encoding() {
    EncoderSlot.of(this);
    return 'utf-8';
  }
  get readable() { return EncoderSlot.of(this).readable; }
  get writable() { return EncoderSlot.of(this).writable; }
}
publish(TextEncoderStream);
