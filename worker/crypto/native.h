// What the native functions of this folder have in common. Only the runtime calls them, with the number and types of
// arguments that they expect. Modules choose only bytes, their number, and numbers within the standard's ranges. No
// JavaScript runs during a call.
//
// A function that fails returns the reason as a string, from which the runtime makes an OperationError or a
// DataError. If there is no memory for the result, it throws a RangeError.
#pragma once

#include <v8.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

namespace holdfast::worker::crypto {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;
using ConstBytes = std::span<const std::uint8_t>;

// The bytes of an array buffer or of a view, in place; none if it is detached. Valid until JavaScript runs.
class Input {
 public:
  explicit Input(v8::Local<v8::Value> value);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  ConstBytes bytes() const { return bytes_; }

 private:
  // A copy of bytes that V8 keeps on its heap, where they may move; they are never more than this.
  std::array<std::uint8_t, 64> on_heap_;
  ConstBytes bytes_;
};

// An array buffer for a result. V8 allocates it, so that it counts towards the module's memory limit.
class Output {
 public:
  // If there is no memory for it, throws in JavaScript, and the object is false.
  Output(const Arguments& arguments, std::size_t size);

  explicit operator bool() const { return !buffer_.IsEmpty(); }
  // Never null, even if the size is 0.
  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }
  v8::Local<v8::ArrayBuffer> buffer() const { return buffer_; }

 private:
  v8::Local<v8::ArrayBuffer> buffer_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_;
};

// Set the function's result.
void return_bytes(const Arguments& arguments, ConstBytes bytes);
void return_text(const Arguments& arguments, std::string_view ascii);
void return_failure(const Arguments& arguments, std::string_view reason);
// Clears libcrypto's error queue. return_failure() does that, too.
void forget_failure();

std::uint32_t uint32_at(const Arguments& arguments, int index);

struct NativeFunction {
  const char* name;
  v8::FunctionCallback callback;
};

// The functions of each family.
std::span<const NativeFunction> byte_functions();
std::span<const NativeFunction> random_functions();
std::span<const NativeFunction> digest_functions();
std::span<const NativeFunction> aes_functions();
std::span<const NativeFunction> derivation_functions();
std::span<const NativeFunction> key_functions();
std::span<const NativeFunction> rsa_functions();
std::span<const NativeFunction> elliptic_functions();
std::span<const NativeFunction> octet_key_pair_functions();

// Must be called once, before any of the functions.
void install_output(v8::Isolate* isolate, v8::Local<v8::Context> context);
void install_key_handles(v8::Isolate* isolate);

}  // namespace holdfast::worker::crypto
