// Bytes that cross between JavaScript and native functions: what a module passes, and what it gets. None of it aborts
// where there is no memory, as V8's own way to make an array buffer would: it throws a RangeError.
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

// Gives `host` one more native function; called as an ordinary function, never as a constructor.
void install_native(v8::Local<v8::Context> context, v8::Local<v8::Object> host, const char* name,
                    v8::FunctionCallback callback);

// The bytes of an ArrayBuffer or of a view of one, where they are. Valid while no JavaScript runs and the handle lives.
class InputBytes {
 public:
  // Whether it is what Web IDL calls a BufferSource, on memory that no one else shares.
  static bool accepts(v8::Local<v8::Value> value);

  // `value` must be accepted. Of a detached buffer there are no bytes.
  explicit InputBytes(v8::Local<v8::Value> value);
  InputBytes(const InputBytes&) = delete;
  InputBytes& operator=(const InputBytes&) = delete;

  std::span<const std::uint8_t> bytes() const { return bytes_; }

 private:
  // V8 keeps the bytes of small views on its heap, where they may move.
  std::array<std::uint8_t, 64> small_;
  std::span<const std::uint8_t> bytes_;
};

// What is in memory that was just taken: zeroes, or whatever was there, for those who fill all of it.
enum class Fresh { zeroed, any };

// Memory that counts as the module's array buffers do, given back at the end of its life or made a buffer.
class BufferMemory {
 public:
  // Where there is no room even after a collection, throws a JavaScript RangeError and is empty.
  BufferMemory(v8::Isolate* isolate, std::size_t size, Fresh fresh = Fresh::zeroed);
  ~BufferMemory();
  BufferMemory(const BufferMemory&) = delete;
  BufferMemory& operator=(const BufferMemory&) = delete;

  explicit operator bool() const { return data_ != nullptr; }
  std::uint8_t* data() const { return data_; }
  std::size_t size() const { return size_; }

  // The whole of it as an ArrayBuffer. It is empty afterwards.
  v8::Local<v8::ArrayBuffer> release();

 private:
  v8::Isolate* const isolate_;
  const std::size_t size_;
  std::uint8_t* data_ = nullptr;
};

// Of the module's account, as above; null where there is no room even after a collection, without an exception.
void* take_buffer_memory(v8::Isolate* isolate, std::size_t size, Fresh fresh = Fresh::zeroed);
void give_back_buffer_memory(v8::Isolate* isolate, void* data, std::size_t size);

// A new array on a buffer of its own. Empty, with a RangeError thrown, where there is no room.
v8::MaybeLocal<v8::Uint8Array> make_uint8_array(v8::Isolate* isolate, std::span<const std::uint8_t> bytes);

}  // namespace holdfast::worker
