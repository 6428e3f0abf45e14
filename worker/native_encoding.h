// The native functions under TextEncoder, TextDecoder, atob and btoa: `host` in runtime/encoding.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// decodeText(encoding, fatal, ignoreBOM, more, input) -> string: a part of a stream, whose state is taken from and put
// into the four numbers of decoderState (a Uint32Array; all 0 at the beginning). Throws a TypeError if `input` is no
// BufferSource, or for an error where those are fatal.
// encodeText(string) -> Uint8Array; encodeTextInto(string, array) puts what was read and written into the first two
// numbers of decoderState. decodeBase64(string) -> string or undefined; encodeBase64(string) -> string or undefined:
// where there is a character that may not be. utf8Length(string) -> how many bytes encodeText would give;
// isWellFormed(string) -> whether no surrogate stands alone.
void install_encoding_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
