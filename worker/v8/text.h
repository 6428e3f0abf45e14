// V8's strings as UTF-8.
#pragma once

#include <v8.h>

#include <cstddef>
#include <string>

namespace holdfast::worker {

// A module may make an error, its stack or its names as long as it likes; no more than this is shown.
constexpr std::size_t kMaxShownMessageBytes = 8 << 10;
constexpr std::size_t kMaxShownStackBytes = 16 << 10;

// The whole characters of the string that fit into `max_bytes`; empty if `value` is not a string. Lone surrogates
// become U+FFFD.
std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value, std::size_t max_bytes);

}  // namespace holdfast::worker
