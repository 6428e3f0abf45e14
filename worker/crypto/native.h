// What the native functions of this folder have in common. Only the runtime calls them, with as many arguments, and of
// the types, that it promises; what modules choose is bytes, their number, and numbers within the standard's ranges. No
// JavaScript runs while one of them does.
//
// A function that cannot do what it was asked returns the reason, a string, from which the runtime makes an
// OperationError or a DataError. Where memory for the result is refused, it throws a RangeError.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include <v8.h>

namespace holdfast::worker::crypto {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;
using ConstBytes = std::span<const std::uint8_t>;

// The bytes of an array buffer or of a view, in place; none if it is detached. Good until JavaScript runs.
class Input {
 public:
  explicit Input(v8::Local<v8::Value> value);
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  const std::uint8_t* data() const { return bytes_.data(); }
  std::size_t size() const { return bytes_.size(); }
  ConstBytes bytes() const { return bytes_; }

 private:
  // What V8 keeps on its heap, where it may move, is never larger.
  std::array<std::uint8_t, 64> on_heap_;
  ConstBytes bytes_;
};

// An array buffer for a result. V8 makes it, so that it is the module's memory and bounded with it.
class Output {
 public:
  // Throws in JavaScript where there is no memory for it, and is then false.
  Output(const Arguments& arguments, std::size_t size);

  explicit operator bool() const { return !buffer_.IsEmpty(); }
  // Not null, even where there are no bytes.
  std::uint8_t* data() { return data_; }
  std::size_t size() const { return size_; }
  v8::Local<v8::ArrayBuffer> buffer() const { return buffer_; }

 private:
  v8::Local<v8::ArrayBuffer> buffer_;
  std::uint8_t* data_ = nullptr;
  std::size_t size_;
};

// The function's result.
void return_bytes(const Arguments& arguments, ConstBytes bytes);
void return_text(const Arguments& arguments, std::string_view ascii);
void return_failure(const Arguments& arguments, std::string_view reason);
// What libcrypto noted down of one; the function before does that, too.
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

// Once, before any function is called.
void install_output(v8::Isolate* isolate, v8::Local<v8::Context> context);
void install_key_handles(v8::Isolate* isolate);

}  // namespace holdfast::worker::crypto
