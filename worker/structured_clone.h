// Values as bytes and back, in the format of V8's serializer (format version 13 and up: what Node's v8.Serializer and
// v8.Deserializer speak, but for the array buffer views of their Default- variants). It keeps Map, Set, Date, RegExp,
// BigInt, boxed primitives, errors (name, message, stack), array buffers, their views, and cycles.
//
// Behind a value there may be a second one, with references to objects in the first: what the format has no place for.
// Node.js reads the first and leaves the second.
//
// There are no host objects, shared buffers, transferred buffers and WebAssembly objects, in either direction.
#pragma once

#include <v8.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <tl/expected.hpp>

namespace holdfast::worker {

// Bytes on the module's account (worker/native_bytes.h), given back at the end of its life.
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
  too_large,  // for max_bytes; nothing is pending
};

// Runs the getters of what it writes. `further` goes behind the value, unless it is empty. `max_bytes` bounds what it
// takes of memory, too, but for a factor of four.
tl::expected<SerializedValue, SerializeFailure> serialize_value(v8::Local<v8::Context> context,
                                                                v8::Local<v8::Value> value, std::size_t max_bytes,
                                                                v8::Local<v8::Value> further = {});

// The bytes may be anything. What is no value throws an Error; so does what has more behind it, unless that is one more
// value and `further` is there to take it. Runs no code of a module's. A value
// may take many times the room of its bytes, as with JSON: the module's limit is what bounds it.
v8::MaybeLocal<v8::Value> deserialize_value(v8::Local<v8::Context> context, std::span<const std::uint8_t> bytes,
                                            v8::Local<v8::Value>* further = nullptr);

}  // namespace holdfast::worker
