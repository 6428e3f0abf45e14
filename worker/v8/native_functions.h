// The native functions that the runtime's JavaScript is built on: `host` in worker/runtime/*.js. Modules see only
// what the runtime makes of them.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// Adds settle(id, fulfilled, value), log(level, text), setTimer(callback, delay, repeat) -> id, clearTimer(id),
// enqueueMicrotask(callback) and others, which serve the isolate's current ModuleHost, and the functions of
// native_compression.h, native_encoding.h, native_structured_clone.h and crypto/crypto.h.
void install_native_functions(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
