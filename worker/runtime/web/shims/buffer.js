// The part of Node's Buffer that undici's classes of the Fetch Standard use.
const { utf8Length } = host;
const { atob } = globalThis;
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

const encodings = {
  __proto__: null,
  utf8: (text) => encoder.encode(text),
  binary: (text) => {
    const bytes = new Uint8Array(text.length);
    for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
    return bytes;
  },
  base64: (text) => encodings.binary(decodedBase64(text)),
};

// As in Node, accepts both alphabets, skips what is in neither, and ends at the padding.
function decodedBase64(text) {
  const digits = text.replace(/=[^]*$/, '').replace(/-/g, '+').replace(/_/g, '/').replace(/[^A-Za-z0-9+/]/g, '');
  return atob(digits.length % 4 === 1 ? digits.slice(0, -1) : digits);
}

function isomorphicText(bytes, mask) {
  const most = 8192;  // arguments of one call
  let text = '';
  for (let at = 0; at < bytes.length; at += most) {
    const part = new Uint8Array(bytes.subarray(at, at + most));
    for (let i = 0; i < part.length; i++) part[i] &= mask;
    text += String.fromCharCode(...part);
  }
  return text;
}

export class Buffer extends Uint8Array {
  static from(value, encoding = 'utf8') {
    const bytes = typeof value === 'string' ? encodings[encoding](value) : value;
    return bytes.buffer === undefined ? new Buffer(bytes) : Buffer.#over(bytes);
  }
  static #over(bytes) { return new Buffer(bytes.buffer, bytes.byteOffset, bytes.byteLength); }
  static allocUnsafe(length) { return new Buffer(length); }
  static isBuffer(value) { return value instanceof Buffer; }
  static byteLength(text) { return utf8Length(text); }
  static concat(parts, length) {
    const whole = new Buffer(length);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  equals(other) {
    if (this.length !== other.length) return false;
    for (let at = 0; at < this.length; at++) if (this[at] !== other[at]) return false;
    return true;
  }

  // The index of a byte, or of a sequence of bytes.
  indexOf(sought, from = 0) {
    if (typeof sought === 'number') return super.indexOf(sought, from);
    const last = this.length - sought.length;
    for (let at = from; at <= last; at++) {
      at = super.indexOf(sought[0], at);
      if (at < 0 || at > last) return -1;
      let same = 1;
      while (same < sought.length && this[at + same] === sought[same]) same++;
      if (same === sought.length) return at;
    }
    return -1;
  }

  toString(encoding = 'utf8') {
    if (encoding === 'ascii') return isomorphicText(this, 0x7f);
    if (encoding === 'latin1') return isomorphicText(this, 0xff);
    return decoder.decode(this);
  }
}
