// Serializes values and reads them back, in the format of V8's serializer, version 13 and up. Node's v8.Serializer
// and v8.Deserializer use the same format; only their Default- variants write array buffer views differently. The
// format keeps Map, Set, Date, RegExp, BigInt, boxed primitives, errors (name, message, stack), array buffers, their
// views, and cycles.
//
// A second value may follow the first, and refer to objects in the first. It holds what the format has no place for.
// Node.js reads the first value and ignores the second.
//
// Host objects, shared buffers, transferred buffers and WebAssembly objects are refused, in both directions.
#pragma once

#include <v8.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <tl/expected.hpp>
#include <utility>

namespace holdfast::worker {

// Owns serialized bytes, which are charged to the module (worker/v8/native_bytes.h).
class SerializedValue {
 public:
  SerializedValue(v8::Isolate* isolate, std::uint8_t* data, std::size_t size, std::size_t capacity)
      : isolate_(isolate), data_(data), size_(size), capacity_(capacity) {}
  ~SerializedValue();
  SerializedValue(SerializedValue&& other) noexcept;
  SerializedValue& operator=(SerializedValue&&) = delete;

  std::span<const std::uint8_t> bytes() const { return {data_, size_}; }

 private:
  v8::Isolate* const isolate_;
  std::uint8_t* data_;
  const std::size_t size_;
  const std::size_t capacity_;
};

enum class SerializeFailure {
  threw,  // an exception is pending: a getter's own, or an Error named DataCloneError that says what cannot be cloned
  too_large,  // larger than max_bytes; no exception is pending
};

// Serializes `value` and, unless it is empty, `further` behind it. Runs their getters. The result has at most
// `max_bytes`; at most four times as much memory is used on the way.
tl::expected<SerializedValue, SerializeFailure> serialize_value(v8::Local<v8::Context> context,
                                                                v8::Local<v8::Value> value, std::size_t max_bytes,
                                                                v8::Local<v8::Value> further = {});

// Reads a value and, if `further` is not null, a second value that may follow it. The bytes may be anything: throws
// an Error if they are not a value, or if anything else follows. Runs none of a module's code. As with JSON, a value
// may take many times the memory of its bytes; only the module's limit bounds that.
v8::MaybeLocal<v8::Value> deserialize_value(v8::Local<v8::Context> context, std::span<const std::uint8_t> bytes,
                                            v8::Local<v8::Value>* further = nullptr);

}  // namespace holdfast::worker
