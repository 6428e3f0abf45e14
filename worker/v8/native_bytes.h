// Bytes that cross between JavaScript and native functions: what a module passes in, and what it gets back. V8's own
// way to make an array buffer aborts if there is no memory; these throw a RangeError instead.
#pragma once

#include <v8.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace holdfast::worker {

void throw_type_error(v8::Isolate* isolate, std::string_view message);
void throw_range_error(v8::Isolate* isolate, std::string_view message);

// Adds a native function to `host`. JavaScript can call it, but not use it as a constructor.
void install_native(v8::Local<v8::Context> context, v8::Local<v8::Object> host, const char* name,
                    v8::FunctionCallback callback);

// The bytes of an ArrayBuffer or of a view of one, in place. Valid while no JavaScript runs and the handle lives.
class InputBytes {
 public:
  // Whether `value` is what Web IDL calls a BufferSource, and its memory is not shared.
  static bool accepts(v8::Local<v8::Value> value);

  // accepts(value) must be true. A detached buffer has no bytes.
  explicit InputBytes(v8::Local<v8::Value> value);
  InputBytes(const InputBytes&) = delete;
  InputBytes& operator=(const InputBytes&) = delete;

  std::span<const std::uint8_t> bytes() const { return bytes_; }

 private:
  // A copy of a small view's bytes: V8 keeps them on its heap, where they may move.
  std::array<std::uint8_t, 64> small_;
  std::span<const std::uint8_t> bytes_;
};

// What newly taken memory contains: zeroes, or anything, for callers that overwrite all of it.
enum class Fresh { zeroed, any };

// Owns memory that is charged to the module as array buffers are. Gives it back when destroyed, unless release() has
// made a buffer of it.
class BufferMemory {
 public:
  // If there is no room even after a garbage collection, throws a RangeError in JavaScript; the object is empty then.
  BufferMemory(v8::Isolate* isolate, std::size_t size, Fresh fresh = Fresh::zeroed);
  ~BufferMemory();
  BufferMemory(const BufferMemory&) = delete;
  BufferMemory& operator=(const BufferMemory&) = delete;

  explicit operator bool() const { return data_ != nullptr; }
  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

  // Makes all of the memory an ArrayBuffer, which owns it from then on. This object is empty afterwards.
  v8::Local<v8::ArrayBuffer> release();

 private:
  v8::Isolate* const isolate_;
  const std::size_t size_;
  std::uint8_t* data_ = nullptr;
};

// Takes memory that is charged to the module as array buffers are. Returns null, without throwing, if there is no
// room even after a garbage collection. The memory must be given back with its size.
void* take_buffer_memory(v8::Isolate* isolate, std::size_t size, Fresh fresh = Fresh::zeroed);
void give_back_buffer_memory(v8::Isolate* isolate, void* data, std::size_t size);

// Copies the bytes into a new array with a buffer of its own. Empty, with a RangeError thrown, if there is no room.
v8::MaybeLocal<v8::Uint8Array> make_uint8_array(v8::Isolate* isolate, std::span<const std::uint8_t> bytes);

}  // namespace holdfast::worker
