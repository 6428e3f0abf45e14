// The parts of structuredClone that JavaScript cannot do: `host` in runtime/structured_clone.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// kindOf(object) -> a number, as structured_clone.js lists them; looks at internal slots, and never runs a module's
// code.
// namedKeys(object) -> the names of its enumerable own properties, without indices.
// copyRegExp(expression), copyWasmModule(module) -> a copy.
// isDetached(buffer) -> boolean.
// shareBuffer(buffer) -> a second ArrayBuffer on the same memory; throws a TypeError if `buffer` may not be detached.
// detachBuffer(buffer) -> false if it was detached already; throws a TypeError if it may not be detached.
void install_structured_clone_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
