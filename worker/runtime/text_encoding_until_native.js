// TextEncoder and TextDecoder for UTF-8 alone, and atob, where the runtime has none of its own yet.
const { ArrayBuffer, Object, RangeError, String, TypeError, Uint8Array, encodeURIComponent, parseInt } = globalThis;
if (globalThis.TextEncoder === undefined) {
  globalThis.TextEncoder = class TextEncoder {
    get encoding() { return 'utf-8'; }
    encode(text = '') {
      const escaped = encodeURIComponent(`${text}`.replace(/\p{Surrogate}/gu, '\ufffd'));
      const bytes = [];
      for (let at = 0; at < escaped.length; at++) {
        if (escaped[at] !== '%') {
          bytes.push(escaped.charCodeAt(at));
        } else {
          bytes.push(parseInt(escaped.slice(at + 1, at + 3), 16));
          at += 2;
        }
      }
      return new Uint8Array(bytes);
    }
  };
  Object.defineProperty(globalThis, 'TextEncoder', { enumerable: false });
}
if (globalThis.TextDecoder === undefined) {
  const lengthOf = (first) => first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  globalThis.TextDecoder = class TextDecoder {
    #kept = [];
    #begun = false;
    #fatal;
    #ignoreBOM;
    get encoding() { return 'utf-8'; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBOM; }
    constructor(label = 'utf-8', { fatal = false, ignoreBOM = false } = {}) {
      if (!/^\s*utf-?8\s*$/i.test(label)) throw new RangeError(`${label} is no encoding that is known`);
      this.#fatal = !!fatal;
      this.#ignoreBOM = !!ignoreBOM;
    }
    decode(input = new Uint8Array(0), { stream = false } = {}) {
      const given = ArrayBuffer.isView(input) ? new Uint8Array(input.buffer, input.byteOffset, input.byteLength) : new Uint8Array(input);
      const bytes = [...this.#kept, ...given];
      this.#kept = [];
      let text = '';
      for (let at = 0; at < bytes.length;) {
        const length = lengthOf(bytes[at]);
        let taken = 1;
        const [low, high] = { 0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f] }[bytes[at]] ?? [0x80, 0xbf];
        while (taken < length && at + taken < bytes.length &&
               bytes[at + taken] >= (taken === 1 ? low : 0x80) && bytes[at + taken] <= (taken === 1 ? high : 0xbf)) taken++;
        if (taken === length) {
          const [first, ...rest] = bytes.slice(at, at + length);
          text += String.fromCodePoint(rest.reduce((sum, byte) => sum << 6 | byte & 0x3f, length === 1 ? first : first & 0xff >> length + 1));
        } else if (stream && length > 0 && at + taken === bytes.length) {
          this.#kept = bytes.slice(at);
        } else {
          if (this.#fatal) throw new TypeError('the bytes are no UTF-8');
          text += '\ufffd';
        }
        at += taken;
      }
      if (!this.#begun && text !== '') {
        this.#begun = true;
        if (!this.#ignoreBOM && text[0] === '\ufeff') text = text.slice(1);
      }
      if (!stream) this.#begun = false;
      return text;
    }
  };
  Object.defineProperty(globalThis, 'TextDecoder', { enumerable: false });
}
if (globalThis.atob === undefined) {
  const digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
  const atob = (text) => {
    let bits = 0, count = 0, bytes = '';
    for (const digit of `${text}`.replace(/[\t\n\f\r ]/g, '').replace(/={1,2}$/, '')) {
      bits = bits << 6 | digits.indexOf(digit);
      count += 6;
      if (count >= 8) bytes += String.fromCharCode(bits >> (count -= 8) & 0xff);
    }
    return bytes;
  };
  Object.defineProperty(globalThis, 'atob', { value: atob, writable: true, configurable: true });
}
