// The native functions under TextEncoder, TextDecoder, atob and btoa: `host` in runtime/encoding.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// decodeText(encoding, fatal, ignoreBOM, more, input) -> string: decodes a part of a stream. The stream's state is
// read from and written to the four numbers of decoderState (a Uint32Array; all 0 at the beginning). Throws a
// TypeError if `input` is not a BufferSource, and for an encoding error if `fatal` is true.
//
// encodeText(string) -> Uint8Array.
// encodeTextInto(string, array) puts how much was read and written into the first two numbers of decoderState.
// decodeBase64(string), encodeBase64(string) -> string; undefined if there is a character that is not allowed.
// utf8Length(string) -> how many bytes encodeText would return.
// isWellFormed(string) -> whether there is no lone surrogate.
void install_encoding_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
