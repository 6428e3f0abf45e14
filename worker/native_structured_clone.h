// What structuredClone cannot know or do in JavaScript: `host` in runtime/structured_clone.js.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// kindOf(object) -> a number, as structured_clone.js lists them; looks at internal slots and never runs a module's
// code. namedKeys(object) -> the names of its enumerable own properties that are no indexes. copyRegExp(expression),
// copyWasmModule(module) -> one more of the same. isDetached(buffer). shareBuffer(buffer) -> a second ArrayBuffer on
// the same memory. detachBuffer(buffer) -> false if it was detached already; throws a TypeError if it may not be.
void install_structured_clone_functions(v8::Local<v8::Context> context, v8::Local<v8::Object> host);

}  // namespace holdfast::worker
