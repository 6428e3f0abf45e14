// The module host's answers: what functions return and throw, as messages.
#include <fmt/format.h>

#include <algorithm>

#include "ipc/units.h"
#include "worker/module_host.h"

namespace holdfast::worker {
namespace {

// A module may make an error or a stack as long as it likes; nobody reads more than this.
constexpr std::size_t kMaxMessageBytes = 8 << 10;
constexpr std::size_t kMaxStackBytes = 16 << 10;

}  // namespace

void ModuleHost::answer_value(std::uint64_t id, v8::Local<v8::Value> value) {
  constexpr std::string_view kNull = "null";
  if (value->IsUndefined()) {
    open_.erase(id);
    return ipc::encode_worker_result(outbox_.buffer(), id, {ipc::as_bytes(kNull), ipc::Encoding::json});
  }
  v8::TryCatch failure(isolate_);
  v8::Local<v8::String> json;
  if (!v8::JSON::Stringify(engine_.context(), value).ToLocal(&json)) return answer_unserializable(id, value, failure);
  // JSON.stringify gives undefined for functions, symbols and what toJSON makes of it, which V8's API spells out; no
  // JSON text begins with a bare u.
  const auto length = static_cast<std::size_t>(json->Utf8Length(isolate_));
  if (length > max_payload_bytes_) {
    return answer_error(id, make_error(ipc::ErrorCode::payload_too_large,
                                       fmt::format("the result has {} as JSON; at most {} are allowed",
                                                   ipc::format_size(length), ipc::format_size(max_payload_bytes_)),
                                       ipc::Executed::yes));
  }
  std::string text(length, '\0');
  json->WriteUtf8(isolate_, text.data(), static_cast<int>(length), nullptr, v8::String::NO_NULL_TERMINATION);
  if (text == "undefined") return answer_unserializable(id, value, failure);
  open_.erase(id);
  ipc::encode_worker_result(outbox_.buffer(), id, {ipc::as_bytes(text), ipc::Encoding::json});
}

void ModuleHost::answer_unserializable(std::uint64_t id, v8::Local<v8::Value> value, v8::TryCatch& failure) {
  ipc::Error error = make_error(ipc::ErrorCode::not_serializable, "", ipc::Executed::yes);
  // Unless something inside is found.
  std::string what =
      value->IsFunction() || !value->IsObject() ? "a " + to_utf8(value->TypeOf(isolate_), 32) : "an object";
  error.detail = std::string("$");
  std::string reason;
  if (failure.HasCaught()) {
    auto [message, stack] = describe(failure.Exception());
    reason = " (" + message + ")";
    error.stack = std::move(stack);
    failure.Reset();
    v8::Local<v8::Value> found;
    if (engine_.runtime()
            .find_unserializable.Get(isolate_)
            ->Call(engine_.context(), v8::Undefined(isolate_), 1, &value)
            .ToLocal(&found) &&
        found->IsArray()) {
      v8::Local<v8::Value> part;
      if (found.As<v8::Array>()->Get(engine_.context(), 0).ToLocal(&part)) error.detail = to_utf8(part, 1024);
      if (found.As<v8::Array>()->Get(engine_.context(), 1).ToLocal(&part)) what = to_utf8(part, 128);
    }
    failure.Reset();
  }
  error.message = fmt::format("the result cannot be expressed as JSON: {} is {}{}", error.detail, what, reason);
  answer_error(id, std::move(error));
}

void ModuleHost::answer_exception(std::uint64_t id, v8::Local<v8::Value> thrown) {
  auto [message, stack] = describe(thrown);
  ipc::Error error = make_error(ipc::ErrorCode::exception, std::move(message), ipc::Executed::yes);
  error.stack = std::move(stack);
  answer_error(id, std::move(error));
}

void ModuleHost::answer_error(std::uint64_t id, ipc::Error error) {
  open_.erase(id);
  ipc::encode_worker_error(outbox_.buffer(), id, error);
}

void ModuleHost::answer_cancelled(std::uint64_t id) {
  answer_error(id, make_error(ipc::ErrorCode::cancelled, "the call was cancelled", ipc::Executed::maybe));
}

std::pair<std::string, std::string> ModuleHost::describe(v8::Local<v8::Value> thrown) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Value> described, message, stack;
  if (!engine_.runtime()
           .describe_error.Get(isolate_)
           ->Call(context, v8::Undefined(isolate_), 1, &thrown)
           .ToLocal(&described) ||
      !described->IsArray() || !described.As<v8::Array>()->Get(context, 0).ToLocal(&message) ||
      !described.As<v8::Array>()->Get(context, 1).ToLocal(&stack)) {
    return {"an error that cannot be shown was thrown", ""};
  }
  return {to_utf8(message, kMaxMessageBytes), to_utf8(stack, kMaxStackBytes)};
}

std::string ModuleHost::to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes) {
  if (value.IsEmpty() || !value->IsString()) return "";
  std::string text(max_bytes, '\0');
  int written = value.As<v8::String>()->WriteUtf8(isolate_, text.data(), static_cast<int>(max_bytes), nullptr,
                                                  v8::String::NO_NULL_TERMINATION | v8::String::REPLACE_INVALID_UTF8);
  text.resize(static_cast<std::size_t>(written));
  return text;
}

void ModuleHost::append_names(v8::Local<v8::Object> exports, std::vector<std::string>& names, std::uint32_t& more) {
  constexpr std::size_t kMaxNames = 10;
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Array> keys;
  if (!exports->GetOwnPropertyNames(context).ToLocal(&keys)) return;
  for (std::uint32_t i = 0; i < keys->Length(); ++i) {
    if (names.size() == kMaxNames) {
      more += keys->Length() - i;
      return;
    }
    v8::Local<v8::Value> key;
    v8::Local<v8::String> text;
    if (!keys->Get(context, i).ToLocal(&key) || !key->ToString(context).ToLocal(&text)) continue;
    std::string name = to_utf8(text, 64);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
}

std::string ModuleHost::exported_names() {
  v8::TryCatch failure(isolate_);
  std::vector<std::string> names;
  std::uint32_t more = 0;
  append_names(exports_.Get(isolate_), names, more);
  if (const auto by_default = default_export()) {
    if (!(*by_default)->IsFunction()) std::erase(names, "default");
    append_names(*by_default, names, more);
  }
  if (names.empty()) return "nothing";
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    list += name;
  }
  if (more > 0) list += fmt::format(" and {} more", more);
  return list;
}

}  // namespace holdfast::worker
