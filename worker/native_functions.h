// The native functions that the runtime's JavaScript is built on: `host` in worker/runtime/*.js. Modules never see
// them, only what the runtime makes of them.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// settle(id, fulfilled, value), log(level, text), setTimer(callback, delay, repeat) -> id, clearTimer(id),
// enqueueMicrotask(callback). Each serves the isolate's current ModuleHost. Besides, those of native_compression.h,
// native_encoding.h and native_structured_clone.h.
void install_native_functions(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
