#include "worker/v8/text.h"

namespace holdfast::worker {

std::string to_utf8(v8::Isolate* isolate, v8::Local<v8::Value> value, std::size_t max_bytes) {
  if (value.IsEmpty() || !value->IsString()) return "";
  std::string text(max_bytes, '\0');
  const int written =
      value.As<v8::String>()->WriteUtf8(isolate, text.data(), static_cast<int>(max_bytes), nullptr,
                                        v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
  text.resize(static_cast<std::size_t>(written));
  return text;
}

}  // namespace holdfast::worker
