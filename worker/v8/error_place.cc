#include "worker/v8/error_place.h"

#include <algorithm>
#include <string_view>

namespace holdfast::worker {
namespace {

// Calls within the runtime nest deeper than this only if the module's own code is between them.
constexpr int kFramesLookedAt = 16;

struct Place {
  v8::Local<v8::Value> file;  // empty: unknown
  int line = 0;
  int column = 0;
};

bool is_own_file(v8::Isolate* isolate, v8::Local<v8::Value> file) {
  constexpr std::string_view kPrefix = "holdfast:";
  if (!file->IsString()) return true;
  char start[kPrefix.size()];
  const int length = file.As<v8::String>()->WriteOneByte(isolate, reinterpret_cast<std::uint8_t*>(start), 0,
                                                         sizeof start, v8::String::NO_NULL_TERMINATION);
  return std::string_view(start, static_cast<std::size_t>(length)) == kPrefix;
}

Place thrown_at(v8::Isolate* isolate, v8::Local<v8::Message> message) {
  v8::Local<v8::Context> context = isolate->GetCurrentContext();
  v8::Local<v8::Value> file = message->GetScriptResourceName();
  if (is_own_file(isolate, file)) return {};
  return {file, message->GetLineNumber(context).FromMaybe(0), message->GetStartColumn(context).FromMaybe(-1) + 1};
}

Place caller(v8::Isolate* isolate) {
  v8::Local<v8::StackTrace> stack = v8::StackTrace::CurrentStackTrace(isolate, kFramesLookedAt);
  for (int i = 0; i < stack->GetFrameCount(); ++i) {
    v8::Local<v8::StackFrame> frame = stack->GetFrame(isolate, static_cast<std::uint32_t>(i));
    v8::Local<v8::String> file = frame->GetScriptName();
    if (!file.IsEmpty() && !is_own_file(isolate, file)) return {file, frame->GetLineNumber(), frame->GetColumn()};
  }
  return {};
}

v8::Local<v8::Array> to_array(v8::Isolate* isolate, v8::Local<v8::String> text, const Place& place) {
  v8::Local<v8::Value> file = place.file.IsEmpty() ? v8::String::Empty(isolate).As<v8::Value>() : place.file;
  v8::Local<v8::Value> parts[] = {text, file, v8::Integer::New(isolate, place.line),
                                  v8::Integer::New(isolate, place.column)};
  return v8::Array::New(isolate, parts, std::size(parts));
}

}  // namespace

v8::Local<v8::Array> place_of(v8::Isolate* isolate, v8::Local<v8::Message> message) {
  if (message.IsEmpty()) return to_array(isolate, v8::String::NewFromUtf8Literal(isolate, "Uncaught"), {});
  return to_array(isolate, message->Get(), thrown_at(isolate, message));
}

v8::Local<v8::Array> place_of_reported(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  v8::Local<v8::Message> message = v8::Exception::CreateMessage(isolate, value);
  Place place;
  if (value->IsNativeError()) place = thrown_at(isolate, message);
  if (place.file.IsEmpty()) place = caller(isolate);
  return to_array(isolate, message->Get(), place);
}

v8::Local<v8::Array> place_of_caught(v8::Isolate* isolate, v8::Local<v8::Value> value) {
  v8::Local<v8::Message> message = v8::Exception::CreateMessage(isolate, value);
  return to_array(isolate, message->Get(), value->IsNativeError() ? thrown_at(isolate, message) : Place{});
}

}  // namespace holdfast::worker
