// Text of V8's as UTF-8.
#pragma once

#include <v8.h>

#include <string>

namespace holdfast::worker {

// At most `max_bytes` of it, whole characters; empty where `value` is no string. Surrogates without their other half
// become U+FFFD.
std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value, std::size_t max_bytes);

}  // namespace holdfast::worker
