// The native functions that the Web Cryptography API is built on (https://w3c.github.io/webcrypto/), over OpenSSL's
// libcrypto. The standard's own rules (names, usages, the order of checks) are in worker/runtime/crypto*.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// Adds the object `crypto` to `host`. Each file of this folder lists its functions. Sets libcrypto up and looks up
// the algorithms: must be called once in a process, while files may still be read.
void install_crypto(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
