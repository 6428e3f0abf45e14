// TextEncoder, TextDecoder, their streams, atob and btoa, as specified by the Encoding Standard and the HTML Standard.
#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/javascript/both_profiles.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

constexpr const char* kEncodingHelpers = R"js(
    const thrown = (use) => { try { use(); return 'nothing'; } catch (error) { return error.name; } };
    const points = (text) => Array.from(text, (character) => character.codePointAt(0).toString(16)).join(' ');
    const decode = (bytes, label = 'utf-8', options = {}) => points(new TextDecoder(label, options).decode(new Uint8Array(bytes)));
    const encode = (text) => Array.from(new TextEncoder().encode(text), (byte) => byte.toString(16)).join(' ');
)js";

void encodes(const std::string& code, const std::string& wanted) {
  CHECK(evaluated_in_both_profiles(code, kEncodingHelpers) == wanted);
}

// --- encodings -----------------------------------------------------------------------------------------------------

constexpr const char* kHashes = R"js(
      const labels = `utf-8 utf-16le utf-16be x-user-defined gbk gb18030 big5 euc-jp iso-2022-jp shift_jis euc-kr ibm866
          iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-8-i iso-8859-10 iso-8859-13
          iso-8859-14 iso-8859-15 iso-8859-16 koi8-r koi8-u macintosh windows-874 windows-1250 windows-1251 windows-1252
          windows-1253 windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 x-mac-cyrillic`.split(/\s+/);
      // FNV-1a over code units.
      const hash = (texts) => {
        let value = 0x811c9dc5;
        for (const text of texts) for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
        return (value >>> 0).toString(16);
      };
      const decoded = (decode) => { try { return decode(); } catch (error) { return error.name; } };
      // Every byte, every pair of bytes after a byte that selects a table, and the four bytes of GB 18030's first
      // planes.
      exports.everything = () => labels.map((label) => {
        const bytes = [];
        for (let a = 0; a < 256; a++) bytes.push(a, 0x0a, 0x0a);
        for (const before of label === 'euc-jp' ? [[], [0x8f]] : label === 'iso-2022-jp' ? [[0x1b, 0x24, 0x42]] : [[]]) {
          for (let a = 0x21; a < 256; a++) for (let b = 0x21; b < 256; b++) bytes.push(...before, a, b, 0x0a, 0x0a);
        }
        if (label === 'gb18030') for (let p = 0; p < 39420; p++) {
          bytes.push(0x81 + Math.floor(p / 12600), 0x30 + Math.floor(p / 1260) % 10, 0x81 + Math.floor(p / 10) % 126, 0x30 + p % 10);
        }
        return `${label} ${hash([new TextDecoder(label).decode(new Uint8Array(bytes))])}`;
      });
      // Mostly invalid bytes: in one piece, in parts, and where errors are fatal.
      exports.mess = () => labels.map((label) => {
        let seed = 7919;
        const random = (bound) => { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return (seed >>> 8) % bound; };
        const telling = [0x1b, 0x24, 0x42, 0x28, 0x4a, 0x49, 0xef, 0xbb, 0xbf, 0xfe, 0xff, 0xd8, 0xdc, 0xe0, 0x80, 0xf0, 0x90, 0xf4, 0x8f, 0x8e, 0x41];
        const texts = [];
        for (let round = 0; round < 60; round++) {
          const kind = random(4), bytes = new Uint8Array(random(60));
          for (let i = 0; i < bytes.length; i++) {
            bytes[i] = kind === 0 ? random(256) : kind === 1 ? 0x80 + random(128) : kind === 2 ? telling[random(telling.length)]
                : random(2) === 0 ? 0x81 + random(126) : 0x30 + random(10);
          }
          const ignoreBOM = random(2) === 1;
          texts.push(new TextDecoder(label, { ignoreBOM }).decode(bytes));
          texts.push(decoded(() => new TextDecoder(label, { ignoreBOM, fatal: true }).decode(bytes)));
          const decoder = new TextDecoder(label, { ignoreBOM });
          for (let i = 0; i < bytes.length;) {
            const length = 1 + random(5);
            texts.push(decoder.decode(bytes.subarray(i, i += length), { stream: true }));
          }
          texts.push(decoder.decode());
        }
        return `${label} ${hash(texts)}`;
      });
)js";

// Hashes of what the Encoding Standard's own decoders, with its own indexes, make of the same bytes.
const std::vector<std::string> kEverything = {
    "utf-8 23062a1d",        "utf-16le 74160c77",     "utf-16be ee7f4a97",      "x-user-defined 54287c9d",
    "gbk 1a94e0c6",          "gb18030 c59d10cb",      "big5 f13e7083",          "euc-jp c4953d8",
    "iso-2022-jp ffdb048e",  "shift_jis fb3bc4c7",    "euc-kr 30043645",        "ibm866 bf870e1d",
    "iso-8859-2 b53d207c",   "iso-8859-3 5579541a",   "iso-8859-4 d877ca9",     "iso-8859-5 204d7b51",
    "iso-8859-6 4fbfc0f9",   "iso-8859-7 ca15c633",   "iso-8859-8 ecfd3342",    "iso-8859-8-i ecfd3342",
    "iso-8859-10 1ad4190c",  "iso-8859-13 81f3b56a",  "iso-8859-14 d539466e",   "iso-8859-15 359147f7",
    "iso-8859-16 17462633",  "koi8-r a43061f5",       "koi8-u b4e57617",        "macintosh 82300432",
    "windows-874 598036d5",  "windows-1250 379dadad", "windows-1251 e8b3af1",   "windows-1252 b592b6b7",
    "windows-1253 5735f6af", "windows-1254 4ba35e93", "windows-1255 f466b76f",  "windows-1256 5914c0fe",
    "windows-1257 87765b6e", "windows-1258 ca25c7b4", "x-mac-cyrillic 73c675fc"};
const std::vector<std::string> kMess = {
    "utf-8 57c25d3d",        "utf-16le 1830d777",     "utf-16be c752c9bf",      "x-user-defined f721358d",
    "gbk 2b34cdb1",          "gb18030 2b34cdb1",      "big5 f67204c8",          "euc-jp a7f995d1",
    "iso-2022-jp 5ed0a1c1",  "shift_jis e4567b0d",    "euc-kr 886d8bf1",        "ibm866 142da2e0",
    "iso-8859-2 7c2c43a9",   "iso-8859-3 e2ef0329",   "iso-8859-4 eb3b40a",     "iso-8859-5 365198ad",
    "iso-8859-6 26509b5",    "iso-8859-7 40c3d557",   "iso-8859-8 ac8dc31b",    "iso-8859-8-i ac8dc31b",
    "iso-8859-10 5e7343a2",  "iso-8859-13 a63a3014",  "iso-8859-14 e556754d",   "iso-8859-15 18e7e3c4",
    "iso-8859-16 126e8889",  "koi8-r d5d029ba",       "koi8-u 810415ca",        "macintosh 861ea809",
    "windows-874 896b9554",  "windows-1250 68ee8897", "windows-1251 c4f06977",  "windows-1252 281a1939",
    "windows-1253 da9f7132", "windows-1254 50aeaf3",  "windows-1255 40a8270",   "windows-1256 d8a03e0e",
    "windows-1257 d27abaf6", "windows-1258 5d11cfc8", "x-mac-cyrillic ca28d2fd"};

TEST_CASE("every encoding decodes as the Encoding Standard says in one piece and in parts") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    Daemon daemon({.modules = {{"module", kHashes}}, .flags = {"--profile", profile, "--stretch", "60s"}});
    ipc::Client client = daemon.connect();
    for (const auto& [function, wanted] : {std::pair("everything", kEverything), std::pair("mess", kMess)}) {
      const auto got = nlohmann::json::parse(outcome(call(client, {"module", function})));
      REQUIRE(got.size() == wanted.size());
      for (std::size_t at = 0; at < wanted.size(); ++at) CHECK(got[at] == wanted[at]);
    }
  }
}

TEST_CASE("a label is found in any case and amid white space and a bad label is a RangeError") {
  encodes(
      R"js(
      const name = (label) => thrown(() => new TextDecoder(label)) === 'nothing' ? new TextDecoder(label).encoding : thrown(() => new TextDecoder(label));
      return [name('UTF8'), name('\t\n latin1\f\r '), name('Shift-JIS'), name('ISO-8859-8-I'), name('logical'), name('unicode'), name('x-unicode20utf8'),
              name('csisolatin9'), name('\vutf-8'), name('utf-8\0'), name(' '.repeat(100000)), name('\u212aoi8-r'), name('replacement'), name('iso-2022-kr'),
              name(''), name('utf-7'), name(undefined), name(null)];
  )js",
      R"(["utf-8","windows-1252","shift_jis","iso-8859-8-i","iso-8859-8-i","utf-16le","utf-8","iso-8859-15","RangeError",)"
      R"("RangeError","RangeError","RangeError","RangeError","RangeError","RangeError","RangeError","utf-8","RangeError"])");
}

TEST_CASE("a replacement character stands for the longest part of a UTF-8 sequence that could have been valid") {
  encodes(
      R"js(
      return [decode([0xf0, 0x9f, 0x98]), decode([0xf0, 0x9f, 0x41]), decode([0xed, 0xa0, 0x80]), decode([0xc0, 0xaf]), decode([0xf4, 0x90, 0x80, 0x80]),
              decode([0xe2, 0x82, 0xe2, 0x82, 0xac]), decode([0x80, 0x41]), decode([0xf0, 0x9f, 0x98, 0x80]), decode([0xef, 0xbb, 0xbf, 0x41]),
              decode([0xef, 0xbb, 0xbf, 0x41], 'utf-8', { ignoreBOM: true }), decode([0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf])];
  )js",
      R"(["fffd","fffd 41","fffd fffd fffd","fffd fffd","fffd fffd fffd fffd","fffd 20ac","fffd 41","1f600","41","feff 41","feff"])");
}

TEST_CASE("a streaming decoder keeps an unfinished character and drops it after an error") {
  encodes(R"js(
      const decoder = new TextDecoder('utf-8', { fatal: true });
      const parts = [[0xef], [0xbb], [0xbf, 0xe2], [0x82], [0xac, 0xf0, 0x9f]].map((bytes) => points(decoder.decode(new Uint8Array(bytes), { stream: true })));
      return [parts, thrown(() => decoder.decode()), points(decoder.decode(new Uint8Array([0x41]))),
              thrown(() => decoder.decode(new Uint8Array([0xff]), { stream: true })), points(decoder.decode(new Uint8Array([0x42])))];
  )js",
          R"([["","","","","20ac"],"TypeError","41","TypeError","42"])");
}

TEST_CASE("any view is decoded in place and anything else is a TypeError") {
  encodes(R"js(
      const buffer = new Uint8Array([0x61, 0x62, 0x63, 0x64]).buffer, decoder = new TextDecoder();
      const detached = new Uint8Array(8);
      structuredClone(0, { transfer: [detached.buffer] });
      return [decoder.decode(buffer), decoder.decode(new DataView(buffer, 1, 2)), decoder.decode(new Uint16Array(buffer, 2)), decoder.decode(detached),
              decoder.decode(), decoder.decode(undefined), [null, 1, 'x', [1], {}, decoder].map((input) => thrown(() => decoder.decode(input))).join()];
  )js",
          R"(["abcd","bc","cd","","","","TypeError,TypeError,TypeError,TypeError,TypeError,TypeError"])");
}

TEST_CASE("text becomes UTF-8 with a replacement character for a lone surrogate wherever it is split") {
  encodes(
      R"js(
      const pair = '\ud83d\ude00';
      const long = ('x'.repeat(4095) + pair + '\xe9').repeat(5) + '\ud83d';
      const back = new TextDecoder().decode(new TextEncoder().encode(long));
      const into = (text, size) => { const bytes = new Uint8Array(size); const { read, written } = new TextEncoder().encodeInto(text, bytes); return [read, written, bytes.join()]; };
      return [encode('a\xe9\u20ac' + pair), encode('\ud83dx'), encode('\ude00\ud83d'), encode(), encode(undefined), encode(null), encode(1.5),
              back === long.slice(0, -1) + '\ufffd', into('a\u20ac', 3), into('a\u20ac', 4), into(pair, 3), into(pair, 4), into('\ud83d', 3), into('\xe9\xe9', 3), into('abc', 0)];
  )js",
      R"js(["61 c3 a9 e2 82 ac f0 9f 98 80","ef bf bd 78","ef bf bd ef bf bd","","","6e 75 6c 6c","31 2e 35",true,)js"
      R"js([1,1,"97,0,0"],[2,4,"97,226,130,172"],[0,0,"0,0,0"],[2,4,"240,159,152,128"],[1,3,"239,191,189"],[1,2,"195,169,0"],[0,0,""]])js");
}

TEST_CASE("encodeInto writes only whole characters and touches nothing after them") {
  encodes(R"js(
      const encoder = new TextEncoder(), wrong = [];
      const units = ['x', '\xe9', '\u20ac', '\ud83d\ude00'];
      const tried = (text, characters, size) => {
        const bytes = new Uint8Array(size + 4).fill(0xee);
        const { read, written } = encoder.encodeInto(text, bytes.subarray(2, size + 2));
        const expected = new Uint8Array(size + 4).fill(0xee);
        let length = 0, at = 2;
        for (const character of characters) {
          const encoded = encoder.encode(character);
          if (at + encoded.length > size + 2) break;
          expected.set(encoded, at);
          at += encoded.length;
          length += character.length;
        }
        if (read !== length || written !== at - 2 || bytes.join() !== expected.join()) wrong.push([text, size, read, written]);
      };
      let state = 1;
      const drawn = (most) => (state = (state * 1103515245 + 12345) % 2147483648) % 1000003 % most;
      for (let length = 0; length < 40; length++) {
        for (const kinds of [1, 2, 3, 4]) {
          const characters = Array.from({ length }, () => units[drawn(3) === 0 ? drawn(kinds) : 0]), text = characters.join('');
          const whole = encoder.encode(text).length;
          for (let size = Math.max(0, whole - 20); size < whole + 3; size++) tried(text, characters, size);
        }
      }
      for (const unit of units) {
        const characters = Array.from({ length: 9000 }, () => unit), whole = encoder.encode(characters.join('')).length;
        for (const size of [0, 1, 4095, 4096, 4097, 8192, whole - 1, whole, whole + 1]) tried(characters.join(''), characters, size);
      }
      return wrong;
  )js",
          "[]");
}

TEST_CASE("large texts go through whole: one-byte, two-byte and in pieces") {
  encodes(R"js(
      const texts = ['ascii ', 'caf\xe9 ', '\u6f22\u5b57', '\ud83d\ude00x'].map((part) => part.repeat(300000));
      // Too large for the code that decodes small texts.
      const huge = '\u6f22\u5b57'.repeat(1000000), wrong = new TextEncoder().encode(huge);
      wrong[4500000] = 0xff;
      const repaired = new TextDecoder().decode(wrong);
      const both = texts.map((text) => new TextDecoder('utf-8', { fatal: true }).decode(new TextEncoder().encode(text)) === text);
      const decoder = new TextDecoder();
      const bytes = new TextEncoder().encode(texts[3]);
      let text = '';
      for (let at = 0; at < bytes.length; at += 9973) text += decoder.decode(bytes.subarray(at, at + 9973), { stream: true });
      return [both, text + decoder.decode() === texts[3], atob(btoa(texts[1])) === texts[1],
              new TextDecoder('utf-8', { fatal: true }).decode(new TextEncoder().encode(huge)) === huge, thrown(() => new TextDecoder('utf-8', { fatal: true }).decode(wrong)),
              points(repaired.slice(1499999, 1500004)), repaired.length];
  )js",
          R"([[true,true,true,true],true,true,true,"TypeError","5b57 fffd fffd fffd 5b57",2000002])");
}

// --- as specified by Web IDL ----------------------------------------------------------------------------------------

TEST_CASE("the classes are as specified by Web IDL and refuse objects of other classes") {
  encodes(R"js(
      const wrong = [];
      for (const type of [TextDecoder, TextEncoder, TextDecoderStream, TextEncoderStream, CompressionStream, DecompressionStream]) {
        const { name, prototype } = type;
        const { enumerable, writable, configurable } = Object.getOwnPropertyDescriptor(globalThis, name);
        if (enumerable || !writable || !configurable) wrong.push(name);
        if (prototype[Symbol.toStringTag] !== name) wrong.push(`${name} tag`);
        if (thrown(() => type()) !== 'TypeError') wrong.push(`${name} without new`);
        for (const key of Object.getOwnPropertyNames(prototype)) {
          if (key === 'constructor') continue;
          const property = Object.getOwnPropertyDescriptor(prototype, key);
          if (!property.enumerable || !property.configurable) wrong.push(`${name} ${key}`);
          for (const other of [{}, Object.create(prototype), prototype, null]) {
            if (thrown(() => (property.get ?? property.value).call(other, 'x', new Uint8Array(1))) !== 'TypeError') wrong.push(`${name} ${key} brand`);
          }
        }
      }
      for (const name of ['atob', 'btoa', 'structuredClone']) {
        const { enumerable, value } = Object.getOwnPropertyDescriptor(globalThis, name);
        if (!enumerable || value.name !== name || value.length !== 1 || thrown(() => new value('')) !== 'TypeError') wrong.push(name);
      }
      const { fatal, ignoreBOM, encoding } = new TextDecoder('latin1', { fatal: 1 });
      return [wrong, TextDecoder.length, TextDecoder.prototype.decode.length, TextEncoder.prototype.encode.length, TextEncoder.prototype.encodeInto.length,
              fatal, ignoreBOM, encoding, new TextEncoder().encoding, thrown(() => new TextEncoder().encodeInto('x')),
              thrown(() => new TextEncoder().encodeInto('x', new Uint8ClampedArray(1))), thrown(() => new TextDecoder('utf-8', 1))];
  )js",
          R"([[],0,0,0,2,true,false,"windows-1252","utf-8","TypeError","TypeError","TypeError"])");
}

TEST_CASE("a module that replaces functions that the classes use does not change the classes") {
  encodes(R"js(
      const decoder = new TextDecoder('shift_jis'), encoder = new TextEncoder();
      for (const prototype of [Map.prototype, String.prototype, Array.prototype, Object.prototype, Object.getPrototypeOf(Uint8Array.prototype)]) {
        for (const key of ['get', 'toLowerCase', 'slice', 'stream', 'fatal', '0', '1', 'length']) {
          try { Object.defineProperty(prototype, key, { get() { throw new Error('reached'); }, set() { throw new Error('reached'); }, configurable: true }); } catch {}
        }
      }
      const text = decoder.decode(new Uint8Array([0x88]), { __proto__: null, stream: true }) + decoder.decode(new Uint8Array([0x9f]), { __proto__: null });
      const { read, written } = encoder.encodeInto('\u20ac', new Uint8Array(3));
      return JSON.parse(`[${text.charCodeAt(0)}, ${read}, ${written}, ${btoa('x') === 'eA=='}]`);
  )js",
          "[20124,1,3,true]");
}

// --- Base64 --------------------------------------------------------------------------------------------------------

TEST_CASE("atob forgives white space and missing padding, and nothing else") {
  encodes(
      R"js(
      const bytes = (text) => Array.from(atob(text), (character) => character.charCodeAt(0)).join();
      const all = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code)).join('');
      const wrong = ['a', 'abcde', '=', 'ab=', 'abc==', 'ab==c', 'a===', 'ab\vcd', 'ab\u00a0cd', 'ab\u0141', '-_==', 'abcd=', 'abcd====', 'ab=='.repeat(2)];
      return [['', 'YQ==', 'YQ', ' Y\tW\nI\f=\r', 'YWJj', 'YR==', '////', 'ab cd'].map(bytes), wrong.map((text) => thrown(() => atob(text))).filter((name) => name !== 'InvalidCharacterError'),
              atob(btoa(all)) === all, ['', 'a', 'ab', 'abc', '\xff\xfe'].map(btoa), thrown(() => btoa('\u0100')), thrown(() => atob()), btoa(null), btoa(undefined), bytes(null)];
  )js",
      R"([["","97","97","97,98","97,98,99","97","255,255,255","105,183,29"],[],true,["","YQ==","YWI=","YWJj","//4="],)"
      R"("InvalidCharacterError","TypeError","bnVsbA==","dW5kZWZpbmVk","158,233,101"])");
}

// --- memory --------------------------------------------------------------------------------------------------------

TEST_CASE("a result that does not fit into memory is a RangeError and the worker goes on") {
  Daemon daemon({.modules = {{"module", std::string(kEncodingHelpers) + R"js(
      const half = 'x'.repeat(30 << 20);
      exports.f = () => {
        const kept = [];
        const name = thrown(() => { for (;;) kept.push(new TextEncoder().encode(half)); });
        return [name, thrown(() => new TextDecoder('shift_jis').decode(kept[0])), kept.length > 0];
      };
      exports.after = () => new TextDecoder().decode(new TextEncoder().encode('well'));
  )js"}},
                 .flags = {"--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})).starts_with(R"(["RangeError",)"));
  CHECK(outcome(call(client, {"module", "after"})) == R"("well")");
}

}  // namespace
}  // namespace holdfast::test
