// zlib under CompressionStream and DecompressionStream: `host` in runtime/compression.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// makeCompressor(format), makeDecompressor(format) -> a stream of bytes; formats are 0 gzip, 1 deflate, 2 deflate-raw.
// Throws a RangeError where there is no memory for it.
//
// pushBytes(stream, input) takes a BufferSource, which is not to change until pullBytes() gave all. Throws a TypeError
// if it is none. pullBytes(stream, isLast) -> the next Uint8Array of what comes out, at most 64 kB; null when the
// function is to be called again, undefined when there is no more before more is pushed. With isLast nothing more will
// be pushed: what is left comes out, and the stream's memory is given back. Throws a TypeError for data that is not of
// the format, a RangeError where there is no memory; then the stream is over.
void install_compression_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
