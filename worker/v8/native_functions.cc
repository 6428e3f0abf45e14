#include "worker/v8/native_functions.h"

#include "worker/crypto/crypto.h"
#include "worker/v8/engine.h"
#include "worker/v8/error_place.h"
#include "worker/v8/module_host.h"
#include "worker/v8/native_bytes.h"
#include "worker/v8/native_compression.h"
#include "worker/v8/native_encoding.h"
#include "worker/v8/native_structured_clone.h"

namespace holdfast::worker {
namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

// A string of V8's. Empty if it is too long, which texts here are not: they are short, or parts of the module's text.
v8::Local<v8::String> v8_text(v8::Isolate* isolate, std::string_view text) {
  v8::Local<v8::String> made;
  if (!v8::String::NewFromUtf8(isolate, text.data(), v8::NewStringType::kNormal, static_cast<int>(text.size()))
           .ToLocal(&made)) {
    return v8::String::Empty(isolate);
  }
  return made;
}

// Only the runtime calls these, with the number and types of arguments that they expect.

void settle(const Arguments& arguments) {
  const auto id = static_cast<std::uint64_t>(arguments[0].As<v8::Number>()->Value());
  Engine::host_of(arguments.GetIsolate())
      ->settle(id, arguments[1]->IsTrue() ? ModuleHost::Settled::fulfilled : ModuleHost::Settled::rejected,
               arguments[2]);
}

void open_stream(const Arguments& arguments) {
  const auto id = static_cast<std::uint64_t>(arguments[0].As<v8::Number>()->Value());
  Engine::host_of(arguments.GetIsolate())->open_stream(id, arguments[1].As<v8::Function>());
}

void send_chunk(const Arguments& arguments) {
  const auto id = static_cast<std::uint64_t>(arguments[0].As<v8::Number>()->Value());
  const auto fate = Engine::host_of(arguments.GetIsolate())->send_chunk(id, arguments[1]);
  arguments.GetReturnValue().Set(static_cast<std::int32_t>(fate));
}

void when_granted(const Arguments& arguments) {
  const auto id = static_cast<std::uint64_t>(arguments[0].As<v8::Number>()->Value());
  Engine::host_of(arguments.GetIsolate())->when_granted(id, arguments[1].As<v8::Function>());
}

void log(const Arguments& arguments) {
  const auto level = static_cast<ipc::LogLevel>(arguments[0].As<v8::Int32>()->Value());
  v8::String::Utf8Value text(arguments.GetIsolate(), arguments[1]);
  if (*text != nullptr) {
    Engine::host_of(arguments.GetIsolate())->log(level, {*text, static_cast<std::size_t>(text.length())});
  }
}

void set_timer(const Arguments& arguments) {
  const TimerKind kind = arguments[2]->IsTrue() ? TimerKind::repeating : TimerKind::once;
  const std::uint32_t id =
      Engine::host_of(arguments.GetIsolate())
          ->later()
          .set_timer(arguments[0].As<v8::Function>(), arguments[1].As<v8::Number>()->Value(), kind);
  arguments.GetReturnValue().Set(id);
}

void clear_timer(const Arguments& arguments) {
  const double id = arguments[0].As<v8::Number>()->Value();
  if (id >= 1 && id <= UINT32_MAX) {
    Engine::host_of(arguments.GetIsolate())->later().clear_timer(static_cast<std::uint32_t>(id));
  }
}

void queue_task(const Arguments& arguments) {
  const auto owner = static_cast<TurnOwner>(arguments[0].As<v8::Number>()->Value());
  const auto call = static_cast<std::uint64_t>(arguments[1].As<v8::Number>()->Value());
  Engine::host_of(arguments.GetIsolate())->queue_message(owner, call);
}

void enqueue_microtask(const Arguments& arguments) {
  Engine::host_of(arguments.GetIsolate())->enqueue_microtask(arguments[0].As<v8::Function>());
}

void take_signal(const Arguments& arguments) {
  const auto id = static_cast<std::uint64_t>(arguments[0].As<v8::Number>()->Value());
  const auto reason = Engine::host_of(arguments.GetIsolate())->take_signal(id, arguments[1].As<v8::Object>());
  if (reason) arguments.GetReturnValue().Set(static_cast<std::int32_t>(*reason));
}

void clock_at(const Arguments& arguments) {
  const double monotonic_millis = arguments[0].As<v8::Number>()->Value();
  arguments.GetReturnValue().Set(Engine::host_of(arguments.GetIsolate())->clock_at(monotonic_millis));
}

void time_origin(const Arguments& arguments) {
  arguments.GetReturnValue().Set(Engine::host_of(arguments.GetIsolate())->loading().time_origin());
}

void current_turn_owner(const Arguments& arguments) {
  arguments.GetReturnValue().Set(Engine::host_of(arguments.GetIsolate())->current_turn_owner());
}

void current_call(const Arguments& arguments) {
  arguments.GetReturnValue().Set(static_cast<double>(Engine::of(arguments.GetIsolate()).current_call()));
}

// [state, result] of a promise, the state as v8::Promise has it; undefined for anything else.
void promise_details(const Arguments& arguments) {
  if (!arguments[0]->IsPromise()) return;
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto promise = arguments[0].As<v8::Promise>();
  const auto state = promise->State();
  v8::Local<v8::Value> details[] = {v8::Integer::New(isolate, state), v8::Undefined(isolate)};
  if (state != v8::Promise::kPending) details[1] = promise->Result();
  arguments.GetReturnValue().Set(v8::Array::New(isolate, details, 2));
}

// [the innermost target that is not a Proxy, handler] of a Proxy; [null, null] if it or one on the way is revoked;
// undefined for anything else. Runs no trap.
void proxy_details(const Arguments& arguments) {
  if (!arguments[0]->IsProxy()) return;
  v8::Isolate* isolate = arguments.GetIsolate();
  v8::Local<v8::Value> details[] = {arguments[0], arguments[0].As<v8::Proxy>()->GetHandler()};
  while (details[0]->IsProxy()) details[0] = details[0].As<v8::Proxy>()->GetTarget();
  if (details[0]->IsNull()) details[1] = v8::Null(isolate);
  arguments.GetReturnValue().Set(v8::Array::New(isolate, details, std::size(details)));
}

// [entries, whether keys and values alternate in it] of an iterator of a Map or a Set, which does not advance;
// undefined for anything else.
void preview_entries(const Arguments& arguments) {
  if (!arguments[0]->IsMapIterator() && !arguments[0]->IsSetIterator()) return;
  v8::Isolate* isolate = arguments.GetIsolate();
  bool is_key_value = false;
  v8::Local<v8::Array> entries;
  if (!arguments[0].As<v8::Object>()->PreviewEntries(&is_key_value).ToLocal(&entries)) return;
  v8::Local<v8::Value> preview[] = {entries, v8::Boolean::New(isolate, is_key_value)};
  arguments.GetReturnValue().Set(v8::Array::New(isolate, preview, 2));
}

void original_place(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto place = Engine::host_of(isolate)->loading().source().original_place(
      arguments[0], arguments[1].As<v8::Number>()->Value(), arguments[2].As<v8::Number>()->Value());
  if (!place) return;
  v8::Local<v8::Value> parts[] = {v8_text(isolate, place->source), v8::Integer::NewFromUnsigned(isolate, place->line),
                                  v8::Integer::NewFromUnsigned(isolate, place->column)};
  arguments.GetReturnValue().Set(v8::Array::New(isolate, parts, std::size(parts)));
}

void original_function_name(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const std::string name = Engine::host_of(isolate)->loading().source().original_function_name(
      arguments[0].As<v8::String>(), arguments[1].As<v8::Number>()->Value(), arguments[2].As<v8::Number>()->Value());
  arguments.GetReturnValue().Set(v8_text(isolate, name));
}

void original_line(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  const auto line =
      Engine::host_of(isolate)->loading().source().original_line(arguments[0], arguments[1].As<v8::Number>()->Value());
  if (line) arguments.GetReturnValue().Set(v8_text(isolate, *line));
}

void source_text(const Arguments& arguments) {
  arguments.GetReturnValue().Set(Engine::host_of(arguments.GetIsolate())->loading().source().text(arguments[0]));
}

// placeOf(value, isReported): the place of a value passed to reportError(), or of one that was caught.
void place_of(const Arguments& arguments) {
  v8::Isolate* isolate = arguments.GetIsolate();
  arguments.GetReturnValue().Set(arguments[1]->IsTrue() ? place_of_reported(isolate, arguments[0])
                                                        : place_of_caught(isolate, arguments[0]));
}

// The names of all properties of an array or a typed array that are not indices; undefined for anything else.
void non_index_names(const Arguments& arguments) {
  if (!arguments[0]->IsArray() && !arguments[0]->IsTypedArray()) return;
  v8::Local<v8::Context> context = arguments.GetIsolate()->GetCurrentContext();
  v8::Local<v8::Array> names;
  if (arguments[0]
          .As<v8::Object>()
          ->GetPropertyNames(context, v8::KeyCollectionMode::kOwnOnly, v8::PropertyFilter::SKIP_SYMBOLS,
                             v8::IndexFilter::kSkipIndices, v8::KeyConversionMode::kConvertToString)
          .ToLocal(&names)) {
    arguments.GetReturnValue().Set(names);
  }
}

}  // namespace

void install_native_functions(v8::Isolate* isolate, v8::Local<v8::Context> context, v8::Local<v8::Object> host) {
  const auto install = [&](const char* name, v8::FunctionCallback callback) {
    install_native(context, host, name, callback);
  };
  install("settle", settle);
  install("openStream", open_stream);
  install("sendChunk", send_chunk);
  install("whenGranted", when_granted);
  install("log", log);
  install("setTimer", set_timer);
  install("clearTimer", clear_timer);
  install("enqueueMicrotask", enqueue_microtask);
  install("queueTask", queue_task);
  install("takeSignal", take_signal);
  install("clockAt", clock_at);
  install("timeOrigin", time_origin);
  install_compression_functions(context, host);
  install_encoding_functions(context, host);
  install_structured_clone_functions(context, host);
  host->Set(context, v8::String::NewFromUtf8Literal(isolate, "version"),
            v8::String::NewFromUtf8Literal(isolate, HOLDFAST_VERSION))
      .Check();
  install_crypto(isolate, context, host);
  install("currentCall", current_call);
  install("currentTurnOwner", current_turn_owner);
  install("promiseDetails", promise_details);
  install("previewEntries", preview_entries);
  install("proxyDetails", proxy_details);
  install("originalPlace", original_place);
  install("originalFunctionName", original_function_name);
  install("originalLine", original_line);
  install("sourceText", source_text);
  install("nonIndexNames", non_index_names);
  install("placeOf", static_cast<v8::FunctionCallback>(place_of));
}

}  // namespace holdfast::worker
