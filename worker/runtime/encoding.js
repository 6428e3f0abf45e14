// TextDecoder and TextEncoder (Encoding Standard, https://encoding.spec.whatwg.org), and atob and btoa (HTML Standard,
// 8.3).
//
// Evaluated after web_idl.js (slots, conversions, publishing globals); dom_exception.js (what atob and btoa throw).
'use strict';

const { decodeText, decoderState, encodeText, encodeTextInto, decodeBase64, encodeBase64 } = host;
const { DOMException } = runtime;
const { makeSlot, publish, checkGlobal, publishOperations, needArguments, toDictionary } = runtime.webIdl;
const { getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { apply } = Reflect;
const { toStringTag } = Symbol;
const TypeErrorConstructor = TypeError;
const RangeErrorConstructor = RangeError;
const stringSlice = String.prototype.slice;
const stringToLowerCase = String.prototype.toLowerCase;
const mapGet = Map.prototype.get;
const typedArrayName = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), toStringTag).get;
const noBytes = new Uint8Array(0);

// --- labels (4.2) --------------------------------------------------------------------------------------------------

// In the order of TextEncoding in text_encodings.h: each name, with its further labels.
const encodings = [
  'utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8',
  'utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16',
  'utf-16be unicodefffe',
  'x-user-defined',
  'gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk',
  'gb18030',
  'big5 big5-hkscs cn-big5 csbig5 x-x-big5',
  'euc-jp cseucpkdfmtjapanese x-euc-jp',
  'iso-2022-jp csiso2022jp',
  'shift_jis csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis',
  'euc-kr cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949',
  'ibm866 866 cp866 csibm866',
  'iso-8859-2 csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2',
  'iso-8859-3 csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3',
  'iso-8859-4 csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4',
  'iso-8859-5 csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988',
  'iso-8859-6 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i iso-ir-127 ' +
    'iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987',
  'iso-8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7 ' +
    'iso_8859-7:1987 sun_eu_greek',
  'iso-8859-8 csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 ' +
    'iso_8859-8:1988 visual',
  'iso-8859-8-i csiso88598i logical',
  'iso-8859-10 csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6',
  'iso-8859-13 iso8859-13 iso885913',
  'iso-8859-14 iso8859-14 iso885914',
  'iso-8859-15 csisolatin9 iso8859-15 iso885915 iso_8859-15 l9',
  'iso-8859-16',
  'koi8-r cskoi8r koi koi8 koi8_r',
  'koi8-u koi8-ru',
  'macintosh csmacintosh mac x-mac-roman',
  'windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620',
  'windows-1250 cp1250 x-cp1250',
  'windows-1251 cp1251 x-cp1251',
  'windows-1252 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 ' +
    'iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii x-cp1252',
  'windows-1253 cp1253 x-cp1253',
  'windows-1254 cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 ' +
    'x-cp1254',
  'windows-1255 cp1255 x-cp1255',
  'windows-1256 cp1256 x-cp1256',
  'windows-1257 cp1257 x-cp1257',
  'windows-1258 cp1258 x-cp1258',
  'x-mac-cyrillic x-mac-ukrainian',
];

const names = [];
const numbers = new Map();
encodings.forEach((labels, number) => {
  for (const label of labels.split(' ')) numbers.set(label, number);
  names.push(labels.split(' ')[0]);
});

const isWhiteSpace = (character) =>
  character === ' ' || character === '\t' || character === '\n' || character === '\f' || character === '\r';

// The number of the encoding with this label; undefined if there is none.
function encodingOf(label) {
  const known = apply(mapGet, numbers, [label]);
  if (known !== undefined) return known;
  let begin = 0, end = label.length;
  while (begin < end && isWhiteSpace(label[begin])) begin++;
  while (begin < end && isWhiteSpace(label[end - 1])) end--;
  // No label is that long.
  if (end - begin > 32) return undefined;
  // Only ASCII letters are converted to lower case: the Kelvin sign is not a k.
  for (let at = begin; at < end; at++) if (label[at] > '\x7f') return undefined;
  return apply(mapGet, numbers, [apply(stringToLowerCase, apply(stringSlice, label, [begin, end]), [])]);
}

// --- TextDecoder ---------------------------------------------------------------------------------------------------

// The state of a stream is four numbers, kept while there is a stream.
function makeDecoder(label, options, where) {
  label = `${label}`;
  const { fatal, ignoreBOM } = toDictionary(options, where);
  const encoding = encodingOf(label);
  if (encoding === undefined) {
    throw new RangeErrorConstructor(`${where}: "${apply(stringSlice, label, [0, 100])}" is not an encoding label`);
  }
  return { __proto__: null, encoding, fatal: !!fatal, ignoreBOM: !!ignoreBOM, stream: undefined };
}

// Unless `more` is to follow, this is the end of the stream. A stream that failed is over.
function decode(decoder, input, more) {
  const { stream } = decoder;
  decoder.stream = undefined;
  for (let at = 0; at < 4; at++) decoderState[at] = stream === undefined ? 0 : stream[at];
  const text = decodeText(decoder.encoding, decoder.fatal, decoder.ignoreBOM, more, input);
  if (more) decoder.stream = [decoderState[0], decoderState[1], decoderState[2], decoderState[3]];
  return text;
}

const DecoderSlot = makeSlot();

class TextDecoder {
  constructor(label = 'utf-8', options = undefined) {
    new DecoderSlot(this, makeDecoder(label, options, 'TextDecoder'));
  }
  get encoding() { return names[DecoderSlot.of(this).encoding]; }
  get fatal() { return DecoderSlot.of(this).fatal; }
  get ignoreBOM() { return DecoderSlot.of(this).ignoreBOM; }
  decode(input = noBytes, options = undefined) {
    const decoder = DecoderSlot.of(this);
    return decode(decoder, input, !!toDictionary(options, 'TextDecoder.decode').stream);
  }
}
publish(TextDecoder);

// --- TextEncoder ---------------------------------------------------------------------------------------------------

const EncoderSlot = makeSlot();

class TextEncoder {
  constructor() { new EncoderSlot(this, 'utf-8'); }
  get encoding() { return EncoderSlot.of(this); }
  encode(input = '') {
    EncoderSlot.of(this);
    return encodeText(`${input}`);
  }
  encodeInto(source, destination) {
    EncoderSlot.of(this);
    needArguments(arguments.length, 2, 'TextEncoder.encodeInto');
    source = `${source}`;
    if (apply(typedArrayName, destination, []) !== 'Uint8Array') {
      throw new TypeErrorConstructor('TextEncoder.encodeInto: the destination must be a Uint8Array');
    }
    encodeTextInto(source, destination);
    return { read: decoderState[0], written: decoderState[1] };
  }
}
publish(TextEncoder);

// --- Base64 --------------------------------------------------------------------------------------------------------

// Methods of an object, so that they are not constructors.
const operations = {
  atob(data) {
    checkGlobal(this);
    needArguments(arguments.length, 1, 'atob');
    const decoded = decodeBase64(`${data}`);
    if (decoded !== undefined) return decoded;
    throw new DOMException('atob: the string is not correctly encoded Base64', 'InvalidCharacterError');
  },
  btoa(data) {
    checkGlobal(this);
    needArguments(arguments.length, 1, 'btoa');
    const encoded = encodeBase64(`${data}`);
    if (encoded !== undefined) return encoded;
    throw new DOMException('btoa: the string has characters beyond U+00FF', 'InvalidCharacterError');
  },
};
publishOperations(operations);

// For encoding_streams.js.
runtime.textEncoding = { noBytes, makeDecoder, decode, nameOf: (decoder) => names[decoder.encoding] };
