// What the Web Cryptography API is made of (https://w3c.github.io/webcrypto/): native functions over OpenSSL's
// libcrypto. The standard's own rules (names, usages, the order of checks) are in worker/runtime/crypto*.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// Adds to `host` the object `crypto`, whose functions each file of this folder lists. To be called once in a process,
// where files may still be read: libcrypto is set up here, and the algorithms are looked up.
void install_crypto(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
