// The module host's answers: what functions return and throw, as messages.
#include <fmt/format.h>

#include <algorithm>

#include "ipc/base/units.h"
#include "worker/v8/module_host.h"
#include "worker/v8/text.h"

namespace holdfast::worker {

void ModuleHost::answer_value(std::uint64_t id, v8::Local<v8::Value> value) {
  if (log_lines_.has_dropped()) log_lines_.tell_of_dropped(engine_.current_call());
  const OpenCall& call = open_.at(id);
  v8::Local<v8::Function> open;
  if (value->IsObject() && call.stop.IsEmpty()) {
    if (async_iterator_of(id, value).ToLocal(&open)) return start_stream(id, value, open);
    if (!open_.contains(id)) return;
  }
  const auto expressed = express(value, call.wanted, [&](const ipc::ResultView& result) { send_result(id, result); });
  if (!expressed) return answer_unserializable(id, std::move(expressed.error()));
  open_.erase(id);
}

tl::expected<void, NotExpressed> ModuleHost::express(v8::Local<v8::Value> value, WantedEncoding wanted,
                                                     const Payloads::Take& take) {
  is_encoding_ = true;
  auto expressed = payloads_.express(value, wanted, take);
  is_encoding_ = false;
  return expressed;
}

v8::MaybeLocal<v8::Function> ModuleHost::async_iterator_of(std::uint64_t id, v8::Local<v8::Value> value) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> method;
  if (!value.As<v8::Object>()->Get(engine_.context(), v8::Symbol::GetAsyncIterator(isolate_)).ToLocal(&method)) {
    answer_exception(id, failure.Exception());
    return {};
  }
  if (!method->IsFunction()) return {};
  return method.As<v8::Function>();
}

void ModuleHost::start_stream(std::uint64_t id, v8::Local<v8::Value> iterable, v8::Local<v8::Function> open) {
  if (!open_.at(id).takes_stream) {
    return answer_unserializable(id, {.path = "$",
                                      .what = "an async iterable",
                                      .why = "the function returns a stream, but its caller takes no stream"});
  }
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> parts[] = {v8::Number::New(isolate_, static_cast<double>(id)), iterable, open};
  if (engine_.runtime().stream.Get(isolate_)->Call(engine_.context(), v8::Undefined(isolate_), 3, parts).IsEmpty()) {
    answer_exception(id, failure.Exception());
  }
}

void ModuleHost::open_stream(std::uint64_t id, v8::Local<v8::Function> stop) {
  if (const auto call = open_.find(id); call != open_.end()) call->second.stop.Reset(isolate_, stop);
}

ModuleHost::ChunkFate ModuleHost::send_chunk(std::uint64_t id, v8::Local<v8::Value> value) {
  const auto wanted = open_.find(id);
  if (wanted == open_.end() || wanted->second.aborted) return ChunkFate::unwanted;
  if (wanted->second.cancelled) return ChunkFate::sent_and_window_is_full;  // the abort is about to wake it
  std::size_t bytes = 0;
  const auto expressed = express(value, wanted->second.wanted, [&](const ipc::ResultView& chunk) {
    bytes = chunk.payload.size();
    ipc::encode_worker_chunk(outbox_.buffer(), {id, chunk});
  });
  if (!expressed) {
    answer_unserializable(id, std::move(expressed.error()));
    return ChunkFate::unwanted;
  }
  // Look it up again: encoding a value may run the module's code.
  const auto call = open_.find(id);
  if (call == open_.end()) return ChunkFate::unwanted;
  call->second.window_bytes -= static_cast<std::int64_t>(ipc::chunk_cost(bytes));
  return call->second.window_bytes > 0 ? ChunkFate::sent : ChunkFate::sent_and_window_is_full;
}

void ModuleHost::when_granted(std::uint64_t id, v8::Local<v8::Function> resume) {
  if (const auto call = open_.find(id); call != open_.end()) call->second.resume.Reset(isolate_, resume);
}

void ModuleHost::answer_unserializable(std::uint64_t id, NotExpressed reason) {
  static constexpr std::string_view kFormats[] = {"JSON", "bytes", "a structured clone"};  // as in ipc::Encoding
  const std::string_view format = kFormats[static_cast<std::size_t>(reason.encoding)];
  const bool was_streaming = !open_.at(id).stop.IsEmpty();
  const std::string_view subject = was_streaming ? "a value of the stream" : "the result";
  if (reason.path.empty()) {
    return answer_error(id, make_error(ipc::ErrorCode::payload_too_large,
                                       fmt::format("{} has {} bytes as {}; at most {} are allowed", subject,
                                                   reason.bytes, format, max_payload_bytes()),
                                       ipc::Executed::yes));
  }
  ipc::Error error = make_error(ipc::ErrorCode::not_serializable,
                                fmt::format("{} cannot be expressed as {}: {} is {}{}", subject, format, reason.path,
                                            reason.what, reason.why.empty() ? "" : " (" + reason.why + ")"),
                                ipc::Executed::yes);
  error.detail = std::move(reason.path);
  error.stack = std::move(reason.stack);
  answer_error(id, std::move(error));
}

void ModuleHost::answer_exception(std::uint64_t id, v8::Local<v8::Value> thrown) {
  answer_error(id, exception(describe(thrown)));
}

ipc::Error ModuleHost::exception(Thrown thrown) {
  ipc::Error error = make_error(ipc::ErrorCode::exception, std::move(thrown.message), ipc::Executed::yes);
  error.stack = std::move(thrown.stack);
  error.properties = std::move(thrown.properties);
  return error;
}

void ModuleHost::answer_error(std::uint64_t id, ipc::Error error) {
  if (log_lines_.has_dropped()) log_lines_.tell_of_dropped(engine_.current_call());
  const auto run = run_time_of(id);
  open_.erase(id);
  if (ipc::SharedPage::is_line_call(id)) return line_->answer(id, error);
  ipc::encode_worker_error(outbox_.buffer(), id, error, run);
}

void ModuleHost::send_result(std::uint64_t id, const ipc::ResultView& result) {
  if (ipc::SharedPage::is_line_call(id)) return line_->answer(id, result);
  ipc::encode_worker_result(outbox_.buffer(), id, result, run_time_of(id));
}

void ModuleHost::answer_cancelled(std::uint64_t id) {
  answer_error(id, make_error(ipc::ErrorCode::cancelled, "the call was cancelled", ipc::Executed::maybe));
}

ModuleHost::Thrown ModuleHost::describe(v8::Local<v8::Value> thrown) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Value> described, message, stack, properties;
  if (!engine_.runtime()
           .describe_error.Get(isolate_)
           ->Call(context, v8::Undefined(isolate_), 1, &thrown)
           .ToLocal(&described) ||
      !described->IsArray() || !described.As<v8::Array>()->Get(context, 0).ToLocal(&message) ||
      !described.As<v8::Array>()->Get(context, 1).ToLocal(&stack) ||
      !described.As<v8::Array>()->Get(context, 2).ToLocal(&properties)) {
    return {"an error that cannot be shown was thrown", "", ""};
  }
  return {to_utf8(isolate_, message, kMaxShownMessageBytes), to_utf8(isolate_, stack, kMaxShownStackBytes),
          to_utf8(isolate_, properties, ipc::kMaxPropertiesBytes)};
}

void ModuleHost::answer_not_exported(const ipc::WorkerCall& call) {
  answer_error(call.id,
               make_error(ipc::ErrorCode::not_found,
                          fmt::format("module {}@{} exports no function \"{}\"; it exports: {}", loading_.module(),
                                      loading_.version(), call.function,
                                      loading_.exports().names_instead_of(call.function, kMaxShownMessageBytes))));
}

}  // namespace holdfast::worker
