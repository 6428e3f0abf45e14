// isArrayBuffer(value), copyBytes(source) -> ArrayBuffer, toBase64Url(source) -> string,
// fromBase64Url(string) -> ArrayBuffer or a reason, toUtf8(string) -> ArrayBuffer,
// fromUtf8(source) -> string, or undefined where it would be too long for one.
#include <string>
#include <vector>

#include "ipc/base/base64.h"
#include "worker/crypto/native.h"

namespace holdfast::worker::crypto {
namespace {

// More than the largest part of a key takes: the modulus of an RSA key of 16384 bits.
constexpr int kMaxTextLength = 1 << 20;

void is_array_buffer(const Arguments& arguments) { arguments.GetReturnValue().Set(arguments[0]->IsArrayBuffer()); }

void copy_bytes(const Arguments& arguments) { return_bytes(arguments, Input(arguments[0]).bytes()); }

void to_base64_url(const Arguments& arguments) { return_text(arguments, to_base64url(Input(arguments[0]).bytes())); }

// Without padding, as RFC 7515 (2) requires.
void from_base64_url(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  if (text->Length() > kMaxTextLength) return return_failure(arguments, "is too long");
  if (!text->ContainsOnlyOneByte()) return return_failure(arguments, "is not base64url");
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(text->Length()));
  text->WriteOneByte(isolate, bytes.data(), 0, text->Length(), v8::String::NO_NULL_TERMINATION);
  const auto size = decode_base64url_in_place(bytes);
  if (!size) return return_failure(arguments, "is not base64url");
  return_bytes(arguments, std::span<const std::uint8_t>(bytes).first(*size));
}

void to_utf8(const Arguments& arguments) {
  const auto text = arguments[0].As<v8::String>();
  Output output(arguments, static_cast<std::size_t>(text->Utf8Length(arguments.GetIsolate())));
  if (!output) return;
  text->WriteUtf8(arguments.GetIsolate(), reinterpret_cast<char*>(output.data()), static_cast<int>(output.size()),
                  nullptr, v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
  arguments.GetReturnValue().Set(output.buffer());
}

void from_utf8(const Arguments& arguments) {
  const Input input(arguments[0]);
  if (input.size() > static_cast<std::size_t>(v8::String::kMaxLength)) return;
  v8::Local<v8::String> text;
  if (v8::String::NewFromUtf8(arguments.GetIsolate(), reinterpret_cast<const char*>(input.data()),
                              v8::NewStringType::kNormal, static_cast<int>(input.size()))
          .ToLocal(&text)) {
    arguments.GetReturnValue().Set(text);
  }
}

constexpr NativeFunction kBytesFunctions[] = {
    {"isArrayBuffer", is_array_buffer}, {"copyBytes", copy_bytes}, {"toBase64Url", to_base64_url},
    {"fromBase64Url", from_base64_url}, {"toUtf8", to_utf8},       {"fromUtf8", from_utf8},
};

}  // namespace

std::span<const NativeFunction> byte_functions() { return kBytesFunctions; }

}  // namespace holdfast::worker::crypto
