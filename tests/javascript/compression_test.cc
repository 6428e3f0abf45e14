// CompressionStream, DecompressionStream, TextEncoderStream and TextDecoderStream.
#include <doctest/doctest.h>

#include <string>

#include "tests/javascript/both_profiles.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"

namespace holdfast::test {
namespace {

constexpr const char* kCompressionHelpers = R"js(
    const formats = ['gzip', 'deflate', 'deflate-raw'];
    const collect = async (readable) => {
      const parts = [], reader = readable.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return parts;
        parts.push(value);
      }
    };
    // The output of a stream for these chunks; rejects with the stream's error.
    const through = (stream, ...chunks) => {
      const writer = stream.writable.getWriter();
      for (const chunk of chunks) writer.write(chunk).catch(() => {});
      writer.close().catch(() => {});
      return collect(stream.readable);
    };
    const joined = (parts) => {
      const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let at = 0;
      for (const part of parts) { bytes.set(part, at); at += part.length; }
      return bytes;
    };
    const compress = async (format, ...chunks) => joined(await through(new CompressionStream(format), ...chunks));
    const decompress = async (format, ...chunks) => joined(await through(new DecompressionStream(format), ...chunks));
    const failure = (promise) => promise.then(() => 'nothing', (error) => error.name);
    const text = (bytes) => new TextDecoder().decode(bytes);
)js";

void compresses(const std::string& code, const std::string& wanted) {
  CHECK(evaluated_in_both_profiles(code, kCompressionHelpers) == wanted);
}

TEST_CASE("each format comes back as it was, whole and byte by byte") {
  compresses(R"js(
      const bytes = new Uint8Array(300000).map((_, i) => (i * i) >> 7);
      const same = (other) => other.length === bytes.length && other.every((byte, i) => byte === bytes[i]);
      return Promise.all(formats.map(async (format) => {
        const small = await compress(format, bytes.subarray(0, 7), new DataView(bytes.buffer, 7, 100000), bytes.slice(100007).buffer);
        const short = await compress(format, new Uint8Array([1, 2, 3]));
        const single = await decompress(format, ...Array.from(short, (_, i) => short.subarray(i, i + 1)));
        return [small.length < bytes.length, same(await decompress(format, small)), single.join(), (await decompress(format, await compress(format))).length];
      }));
  )js",
             R"([[true,true,"1,2,3",0],[true,true,"1,2,3",0],[true,true,"1,2,3",0]])");
}

TEST_CASE("data that other programs compressed is read and the formats match their names") {
  compresses(R"js(
      const of = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const [gzip, deflate, raw] = await Promise.all(formats.map((format) => compress(format, new Uint8Array([1]))));
      return [text(await decompress('gzip', of('H4sIAAAAAAACA0vLz09KLAIAlR/2ngYAAAA='))), text(await decompress('deflate', of('eJxLy89PSiwCAAirAno='))),
              text(await decompress('deflate-raw', of('S8vPT0osAgA='))), gzip.slice(0, 3).join(), deflate[0] & 15, raw.length < deflate.length];
  )js",
             R"(["foobar","foobar","foobar","31,139,8",8,true])");
}

TEST_CASE("data that is damaged or cut short or too long or not bytes is a TypeError") {
  compresses(R"js(
      const names = new Set();
      for (const format of formats) {
        const good = await compress(format, new Uint8Array(1000).map((_, i) => i * 7));
        const damaged = good.slice();
        damaged[0] ^= 0xff;
        const checked = good.slice();
        checked[checked.length - (format === 'gzip' ? 6 : 2)] ^= 1;
        for (const chunks of [[], [new Uint8Array(0)], [good.subarray(0, -1)], [good, new Uint8Array([0])], [new Uint8Array([...good, 0])], [good, good],
                              [damaged], ['text'], [{}], [null], [[1]], ...(format === 'deflate-raw' ? [] : [[checked]])]) {
          names.add(await failure(decompress(format, ...chunks)));
        }
        names.add(await failure(compress(format, 'text')));
        if (await failure(decompress(format, good, new Uint8Array(0))) !== 'nothing') names.add('an empty chunk after the end');
      }
      const thrown = (use) => { try { use(); return 'nothing'; } catch (error) { return error.name; } };
      for (const format of [undefined, null, 'br', 'GZIP', '', '__proto__']) names.add(thrown(() => new CompressionStream(format))).add(thrown(() => new DecompressionStream(format)));
      names.add(thrown(() => new CompressionStream()));
      return [...names];
  )js",
             R"(["TypeError"])");
}

TEST_CASE("data that decompresses beyond the memory of the module fails its stream and the worker goes on") {
  Daemon daemon({.modules = {{"module", std::string(kCompressionHelpers) + R"js(
      exports.f = async () => {
        const compressor = new CompressionStream('gzip'), writer = compressor.writable.getWriter();
        const parts = collect(compressor.readable), zeros = new Uint8Array(1 << 20);
        for (let i = 0; i < 200; i++) await writer.write(zeros);
        await writer.close();
        const bomb = joined(await parts), stream = new DecompressionStream('gzip');
        return [bomb.length < 1 << 20, await failure(collect(stream.readable, stream.writable.getWriter().write(bomb).catch(() => {})))];
      };
      exports.many = async () => {
        for (let i = 0; i < 1500; i++) {
          new CompressionStream('gzip');
          await new Promise((resolve) => setTimeout(resolve));
        }
        return 'done';
      };
  )js"}},
                 .flags = {"--stretch", "20s"}});
  ipc::Client client = daemon.connect();
  CHECK(outcome(call(client, {"module", "f"})) == R"([true,"RangeError"])");
  CHECK(outcome(call(client, {"module", "many"})) == R"("done")");
}

TEST_CASE("text streams carry characters over from chunk to chunk") {
  compresses(
      R"js(
      const decoder = new TextDecoderStream('shift_jis', { fatal: true });
      const units = (await through(new TextEncoderStream(), 'a\ud83d', '', '\ude00b', '\ud83d', 'c', 1, '\ud83d')).map((part) => part.join(' '));
      return [decoder.encoding, decoder.fatal, decoder.ignoreBOM, await through(decoder, new Uint8Array([0x41, 0x88]), new Uint8Array([0x9f])), units,
              await failure(through(new TextDecoderStream('utf-8', { fatal: true }), new Uint8Array([0xe2]))), await through(new TextDecoderStream(), new Uint8Array([0xe2])),
              await failure(through(new TextDecoderStream(), 'text'))];
  )js",
      R"(["shift_jis",true,false,["A","亜"],["97","240 159 152 128 98","239 191 189 99","49","239 191 189"],"TypeError",["�"],"TypeError"])");
}

TEST_CASE("a module that replaces functions that the streams use does not change the streams") {
  compresses(R"js(
      const stream = new CompressionStream('gzip');
      TransformStreamDefaultController.prototype.enqueue = () => { throw new Error('reached'); };
      for (const key of ['start', 'flush', 'transform', 'readableType', 'writableType']) {
        Object.defineProperty(Object.prototype, key, { get() { throw new Error('reached'); }, configurable: true });
      }
      const made = new CompressionStream('gzip');
      for (const key of ['start', 'flush', 'transform', 'readableType', 'writableType']) delete Object.prototype[key];
      return [(await through(stream, new Uint8Array(3))).length > 0, (await through(made, new Uint8Array(3))).length > 0];
  )js",
             "[true,true]");
}

}  // namespace
}  // namespace holdfast::test
