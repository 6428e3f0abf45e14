// isArrayBuffer(value), copyBytes(source) -> ArrayBuffer, toBase64Url(source) -> string,
// fromBase64Url(string) -> ArrayBuffer or a reason, toUtf8(string) -> ArrayBuffer,
// fromUtf8(source) -> string, or undefined where it would be too long for one.
#include <string>

#include "worker/crypto/native.h"

namespace holdfast::worker::crypto {
namespace {

// RFC 4648, 5.
constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr auto kValues = [] {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<std::int8_t>(i);
  }
  return values;
}();

// More than the largest part of a key takes: the modulus of an RSA key of 16384 bits.
constexpr int kMaxTextLength = 1 << 20;

void is_array_buffer(const Arguments& arguments) { arguments.GetReturnValue().Set(arguments[0]->IsArrayBuffer()); }

void copy_bytes(const Arguments& arguments) { return_bytes(arguments, Input(arguments[0]).bytes()); }

void to_base64_url(const Arguments& arguments) {
  const Input input(arguments[0]);
  std::string text;
  text.reserve(input.size() * 4 / 3 + 3);
  std::uint32_t gathered = 0;
  int bits = 0;
  for (const std::uint8_t byte : input.bytes()) {
    gathered = gathered << 8 | byte;
    for (bits += 8; bits >= 6; bits -= 6) text += kAlphabet[gathered >> (bits - 6) & 63];
  }
  if (bits > 0) text += kAlphabet[gathered << (6 - bits) & 63];
  return_text(arguments, text);
}

// Without padding, as RFC 7515 (2) requires.
void from_base64_url(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto text = arguments[0].As<v8::String>();
  if (text->Length() > kMaxTextLength) return return_failure(arguments, "is too long");
  if (!text->ContainsOnlyOneByte() || text->Length() % 4 == 1) return return_failure(arguments, "is not base64url");
  std::string characters(static_cast<std::size_t>(text->Length()), '\0');
  text->WriteOneByte(isolate, reinterpret_cast<std::uint8_t*>(characters.data()), 0, text->Length(),
                     v8::String::NO_NULL_TERMINATION);
  std::string decoded;
  decoded.reserve(characters.size());
  std::uint32_t gathered = 0;
  int bits = 0;
  for (const char character : characters) {
    const std::int8_t value = kValues[static_cast<unsigned char>(character)];
    if (value < 0) return return_failure(arguments, "is not base64url");
    gathered = gathered << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      decoded += static_cast<char>(gathered >> bits & 0xff);
    }
  }
  return_bytes(arguments, {reinterpret_cast<const std::uint8_t*>(decoded.data()), decoded.size()});
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
