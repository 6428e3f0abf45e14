// zlib under CompressionStream and DecompressionStream: `host` in runtime/compression.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// makeCompressor(format), makeDecompressor(format) -> a stream of bytes; formats are 0 gzip, 1 deflate, 2
// deflate-raw. Throw a RangeError if there is no memory.
//
// pushBytes(stream, input) gives a BufferSource to the stream, which reads it in place: it must not change until
// pullBytes() has returned everything. Throws a TypeError if `input` is none.
//
// pullBytes(stream, isLast) -> the next Uint8Array of output, at most 64 kB; null if the function must be called
// again; undefined if there is no output until more is pushed. isLast says that nothing more will be pushed: the rest
// comes out, and the stream's memory is given back. Throws a TypeError if the data is not in the format, and a
// RangeError if there is no memory; the stream is over then.
void install_compression_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
