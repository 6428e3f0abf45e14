#include "worker/crypto/native.h"

#include <openssl/err.h>

#include <cstring>

namespace holdfast::worker::crypto {
namespace {

// The constructor as it was before any module could replace it.
v8::Eternal<v8::Function> array_buffer;

}  // namespace

void install_output(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  v8::Local<v8::Value> constructor =
      context->Global()->Get(context, v8::String::NewFromUtf8Literal(isolate, "ArrayBuffer")).ToLocalChecked();
  array_buffer.Set(isolate, constructor.As<v8::Function>());
}

Input::Input(v8::Local<v8::Value> value) {
  if (value->IsArrayBuffer()) {
    const auto buffer = value.As<v8::ArrayBuffer>();
    bytes_ = {static_cast<const std::uint8_t*>(buffer->Data()), buffer->ByteLength()};
    return;
  }
  // The runtime passes only one or the other. If it did not, reading anything else would break type safety.
  if (!value->IsArrayBufferView()) return;
  const auto view = value.As<v8::ArrayBufferView>();
  const std::size_t size = view->ByteLength();
  if (!view->HasBuffer() && size <= on_heap_.size()) {
    bytes_ = {on_heap_.data(), view->CopyContents(on_heap_.data(), on_heap_.size())};
    return;
  }
  const auto* data = static_cast<const std::uint8_t*>(view->Buffer()->Data());
  if (data != nullptr) bytes_ = {data + view->ByteOffset(), size};
}

Output::Output(const Arguments& arguments, std::size_t size) : size_(size) {
  static std::uint8_t nothing;
  v8::Isolate* isolate = arguments.GetIsolate();
  v8::Local<v8::Value> length = v8::Number::New(isolate, static_cast<double>(size));
  v8::Local<v8::Object> made;
  if (!array_buffer.Get(isolate)->NewInstance(isolate->GetCurrentContext(), 1, &length).ToLocal(&made)) return;
  buffer_ = made.As<v8::ArrayBuffer>();
  data_ = size == 0 ? &nothing : static_cast<std::uint8_t*>(buffer_->Data());
}

void return_bytes(const Arguments& arguments, ConstBytes bytes) {
  Output output(arguments, bytes.size());
  if (!output) return;
  if (!bytes.empty()) std::memcpy(output.data(), bytes.data(), bytes.size());
  arguments.GetReturnValue().Set(output.buffer());
}

void return_text(const Arguments& arguments, std::string_view ascii) {
  v8::Local<v8::String> text;
  if (v8::String::NewFromOneByte(arguments.GetIsolate(), reinterpret_cast<const std::uint8_t*>(ascii.data()),
                                 v8::NewStringType::kNormal, static_cast<int>(ascii.size()))
          .ToLocal(&text)) {
    arguments.GetReturnValue().Set(text);
  }
}

void return_failure(const Arguments& arguments, std::string_view reason) {
  forget_failure();
  return_text(arguments, reason);
}

void forget_failure() { ERR_clear_error(); }

std::uint32_t uint32_at(const Arguments& arguments, int index) {
  return arguments[index]->IsUint32() ? arguments[index].As<v8::Uint32>()->Value() : 0;
}

}  // namespace holdfast::worker::crypto
