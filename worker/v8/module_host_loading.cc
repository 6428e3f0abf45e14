// The module host's loading: from a module's text to its exports, and the errors if that fails.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "ipc/base/units.h"
#include "worker/plain/function_name.h"
#include "worker/v8/module_host.h"
#include "worker/v8/module_loader.h"
#include "worker/v8/text.h"
#include "worker/channel/stretch.h"

namespace holdfast::worker {
namespace {

using std::chrono::steady_clock;

// How long a top level may await; no other module can use the worker in that time. It equals a call's default
// timeout, and is much less than the time after which the supervisor takes the worker for broken (kLongestLoad in
// supervisor/workers/workers.cc).
constexpr std::chrono::seconds kLongestTopLevelAwait{30};

// A source map that is not decoded yet is decoded for the fatal report only up to this size, which takes little
// enough time.
constexpr std::size_t kMostBytesAtOnce = std::size_t{1} << 20;

// How much code before and after a function's beginning is searched for its name. A constructor has the name of its
// class, which may begin far above it.
constexpr std::uint64_t kCodeBeforeFunction = std::uint64_t{16} << 10;
constexpr std::size_t kCodeAfterFunction = 512;

// Modules can pass any line and column, by their own CallSites or Error.stack; 0 is none.
std::uint32_t to_place(double number) {
  return number >= 1 && number <= INT32_MAX ? static_cast<std::uint32_t>(number) : 0;
}

}  // namespace

ModuleHost::LoadState ModuleHost::load(const ipc::LoadRequest& request) {
  module_ = request.module;
  version_ = request.version;
  file_name_ = request.file_name;
  max_payload_bytes_ = request.max_payload_bytes;
  payloads_.set_rules({request.max_payload_bytes, request.lenient_results});
  tag_ = request.tag;
  engine_.set_memory_limit(request.memory_bytes);
  engine_.clock().set_resolution(request.clock_resolution);
  time_origin_ = whole_millis(engine_.clock().now());
  load_deadline_ = steady_clock::now() + kLongestTopLevelAwait;

  v8::HandleScope scope(isolate_);
  engine_.set_code_from_strings_allowed(request.allow_code_from_strings);
  module_name_.Reset(isolate_, engine_.text(module_));
  version_name_.Reset(isolate_, engine_.text(version_));

  const Stretch stretch(page_, ipc::SharedPage::kLoading);
  set_current_call(0);
  set_environment(request);
  v8::Local<v8::String> text = take_source_map(request);
  if (text.IsEmpty()) return load_failed("the module's source is too long for V8");
  source_.Reset(isolate_, text);
  v8::Local<v8::String> file_name = engine_.text(file_name_);
  const auto compiled = compile_module(engine_, text, file_name);
  if (!compiled) return load_threw(compiled.error().thrown, compiled.error().place);
  return compiled->es_module.IsEmpty() ? run_common_js(compiled->common_js, file_name)
                                       : run_es_module(compiled->es_module);
}

// Takes the source map off, which may be the larger part of the text, and gives V8 the rest. A module without a map
// costs nothing more.
v8::Local<v8::String> ModuleHost::take_source_map(const ipc::LoadRequest& request) {
  std::string_view code = ipc::as_text(request.source);
  if (const auto map = find_inline_source_map(code)) {
    source_map_.emplace(std::string(map->base64));
    code = code.substr(0, map->begins_at);
    isolate_->SetPrepareStackTraceCallback(&ModuleHost::prepare_stack_trace);
  }
  return v8::String::NewFromUtf8(isolate_, code.data(), v8::NewStringType::kNormal, static_cast<int>(code.size()))
      .FromMaybe(v8::Local<v8::String>());
}

ModuleHost::LoadState ModuleHost::run_common_js(v8::Local<v8::Function> body, v8::Local<v8::String> file_name) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Object> module = v8::Object::New(isolate_);
  v8::Local<v8::Object> exports = v8::Object::New(isolate_);
  v8::Local<v8::String> exports_key = engine_.string("exports");
  module->Set(context, exports_key, exports).Check();
  v8::Local<v8::Value> arguments[] = {exports, engine_.runtime().require.Get(isolate_), module,
                                      v8::String::Concat(isolate_, engine_.string("/"), file_name),
                                      engine_.string("/")};
  if (body->Call(context, exports, static_cast<int>(std::size(arguments)), arguments).IsEmpty()) {
    return load_threw(failure);
  }
  run_microtasks(0);
  v8::Local<v8::Value> exported;
  if (!module->Get(context, exports_key).ToLocal(&exported)) return load_threw(failure);
  return take_exports(exported);
}

ModuleHost::LoadState ModuleHost::run_es_module(v8::Local<v8::Module> module) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  if (const auto import = first_static_import(context, module)) {
    v8::Local<v8::Value> error;
    if (!missing_module(engine_, import->specifier, ImportedBy::static_import).ToLocal(&error)) {
      return load_threw(failure);
    }
    return load_threw_at(error, engine_.text(file_name_), import->line, import->column, engine_.string(""));
  }
  const auto nothing_to_import = [](v8::Local<v8::Context>, v8::Local<v8::String>, v8::Local<v8::FixedArray>,
                                    v8::Local<v8::Module>) { return v8::MaybeLocal<v8::Module>(); };
  v8::Local<v8::Value> evaluation;
  if (!module->InstantiateModule(context, nothing_to_import).FromMaybe(false) ||
      !module->Evaluate(context).ToLocal(&evaluation)) {
    return load_threw(failure);
  }
  es_module_.Reset(isolate_, module);
  is_es_module_ = true;
  evaluation.As<v8::Promise>()->MarkAsHandled();
  evaluation_.Reset(isolate_, evaluation.As<v8::Promise>());
  run_microtasks(0);
  if (!is_loading()) return LoadState::failed;  // by an unhandled rejection
  if (evaluation.As<v8::Promise>()->State() == v8::Promise::kPending) return LoadState::pending;
  return follow_load(steady_clock::now());
}

ModuleHost::LoadState ModuleHost::follow_load(steady_clock::time_point now) {
  v8::HandleScope scope(isolate_);
  v8::Local<v8::Promise> evaluation = evaluation_.Get(isolate_);
  switch (evaluation->State()) {
    case v8::Promise::kFulfilled:
      evaluation_.Reset();
      return take_exports(es_module_.Get(isolate_)->GetModuleNamespace());
    case v8::Promise::kRejected: {
      const Stretch stretch(page_, ipc::SharedPage::kLoading);
      return load_threw(evaluation->Result(), {});
    }
    case v8::Promise::kPending:
      break;
  }
  if (timers_.size() == 0 && turns_.size() == 0) {
    return load_failed("the module's top-level await never settles: no timer is set, and nothing else can wake it");
  }
  if (now < load_deadline_) return LoadState::pending;
  return load_failed(fmt::format("the module's top-level await has not settled within {}",
                                 ipc::format_duration(kLongestTopLevelAwait)));
}

ModuleHost::LoadState ModuleHost::take_exports(v8::Local<v8::Value> exports) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  if (!source_map_) source_.Reset();
  if (!exports->IsObject()) {
    return load_failed(
        fmt::format("module.exports must be an object whose properties are functions, or a function, but "
                    "it is {}",
                    exports->IsNull() ? "null" : to_utf8(exports->TypeOf(isolate_), 32)));
  }
  exports_.Reset(isolate_, exports.As<v8::Object>());
  if (is_es_module_) {
    v8::Local<v8::Array> names;
    v8::Local<v8::Value> value;
    v8::Local<v8::String> key = engine_.string("default");
    v8::Local<v8::Object> namespace_object = exports.As<v8::Object>();
    if (namespace_object->GetOwnPropertyNames(context).ToLocal(&names) && names->Length() == 1 &&
        namespace_object->HasOwnProperty(context, key).FromMaybe(false) &&
        namespace_object->Get(context, key).ToLocal(&value) && !value->IsObject()) {
      return load_failed(
          fmt::format("the default export must be an object whose properties are functions, or a "
                      "function, but it is {}",
                      value->IsNull() ? "null" : to_utf8(value->TypeOf(isolate_), 32)));
    }
  }
  encode(outbox_.buffer(), ipc::Loaded{});
  return LoadState::loaded;
}

// The default export, if it is an object: the functions may be its own properties, too. It is that of an ES module,
// or of the CommonJS that a compiler has made of one.
std::optional<v8::Local<v8::Object>> ModuleHost::default_export() {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Object> exports = exports_.Get(isolate_);
  v8::Local<v8::String> key = engine_.string("default");
  v8::Local<v8::Value> value;
  if (!is_es_module_) {
    if (!exports->Get(context, engine_.string("__esModule")).ToLocal(&value) || !value->IsTrue()) return std::nullopt;
  }
  if (!exports->HasOwnProperty(context, key).FromMaybe(false)) return std::nullopt;
  if (!exports->Get(context, key).ToLocal(&value) || !value->IsObject()) return std::nullopt;
  return value.As<v8::Object>();
}

// --- loads that fail -----------------------------------------------------------------------------------------------

ModuleHost::LoadState ModuleHost::load_threw(const v8::TryCatch& failure) {
  return load_threw(failure.Exception(), failure.Message());
}

ModuleHost::LoadState ModuleHost::load_threw(v8::Local<v8::Value> thrown, v8::Local<v8::Message> place,
                                             const char* prefix) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::String> none = engine_.string("");
  if (place.IsEmpty()) return load_threw_at(thrown, none, 0, 0, none, prefix);
  v8::Local<v8::Value> file = place->GetScriptResourceName();
  v8::Local<v8::String> code;
  if (!place->GetSourceLine(context).ToLocal(&code)) code = none;
  if (!file->IsString()) file = none;
  return load_threw_at(thrown, file, place->GetLineNumber(context).FromMaybe(0),
                       place->GetStartColumn(context).FromMaybe(-1) + 1, code, prefix);
}

ModuleHost::LoadState ModuleHost::load_threw_at(v8::Local<v8::Value> thrown, v8::Local<v8::Value> file, int line,
                                                int column, v8::Local<v8::Value> code, const char* prefix) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Value> arguments[] = {thrown, file, v8::Integer::New(isolate_, line),
                                      v8::Integer::New(isolate_, column), code};
  v8::Local<v8::Value> described, message, stack, shown_line, properties;
  if (!engine_.runtime()
           .describe_load_failure.Get(isolate_)
           ->Call(context, v8::Undefined(isolate_), static_cast<int>(std::size(arguments)), arguments)
           .ToLocal(&described) ||
      !described->IsArray() || !described.As<v8::Array>()->Get(context, 0).ToLocal(&message) ||
      !described.As<v8::Array>()->Get(context, 1).ToLocal(&stack) ||
      !described.As<v8::Array>()->Get(context, 2).ToLocal(&shown_line) ||
      !described.As<v8::Array>()->Get(context, 3).ToLocal(&properties)) {
    return load_failed("an error that cannot be shown was thrown");
  }
  ipc::Error error = make_error(ipc::ErrorCode::load_failed, prefix + to_utf8(message, kMaxShownMessageBytes));
  error.stack = to_utf8(stack, kMaxShownStackBytes);
  error.detail = to_utf8(shown_line, 256);
  error.properties = to_utf8(properties, ipc::kMaxPropertiesBytes);
  return load_failed(std::move(error));
}

ModuleHost::LoadState ModuleHost::load_failed(ipc::Error error) {
  evaluation_.Reset();
  encode(outbox_.buffer(), ipc::LoadFailed{std::move(error)});
  return LoadState::failed;
}

// --- source maps ---------------------------------------------------------------------------------------------------

v8::MaybeLocal<v8::Value> ModuleHost::prepare_stack_trace(v8::Local<v8::Context> context, v8::Local<v8::Value> error,
                                                          v8::Local<v8::Array> sites) {
  v8::Local<v8::Value> arguments[] = {error, sites};
  v8::Isolate* isolate = context->GetIsolate();
  return Engine::of(isolate).runtime().prepare_stack_trace.Get(isolate)->Call(context, v8::Undefined(isolate), 2,
                                                                              arguments);
}

bool ModuleHost::is_module_file(v8::Local<v8::Value> script) {
  return script->IsString() && to_utf8(script, file_name_.size() + 1) == file_name_;
}

std::optional<SourceMap::Place> ModuleHost::original_place(v8::Local<v8::Value> script, double line, double column) {
  if (!source_map_ || !is_module_file(script)) return std::nullopt;
  return source_map_->find(to_place(line), to_place(column));
}

std::optional<std::uint32_t> ModuleHost::line_start(std::uint32_t line) {
  if (line_starts_.empty()) {
    line_starts_.push_back(0);
    v8::Local<v8::String> text = source_.Get(isolate_);
    std::array<std::uint16_t, 4096> part;
    const int length = text->Length();
    for (int at = 0; at < length; at += static_cast<int>(part.size())) {
      const int count =
          text->Write(isolate_, part.data(), at, static_cast<int>(part.size()), v8::String::NO_NULL_TERMINATION);
      for (int i = 0; i < count; ++i) {
        if (part[static_cast<std::size_t>(i)] == u'\n') line_starts_.push_back(static_cast<std::uint32_t>(at + i + 1));
      }
    }
  }
  if (line == 0 || line > line_starts_.size()) return std::nullopt;
  return line_starts_[line - 1];
}

std::string ModuleHost::original_function_name(v8::Local<v8::String> name, double line, double column) {
  if (!source_map_ || source_.IsEmpty() || to_place(column) == 0) return "";
  const auto start = line_start(to_place(line));
  if (!start) return "";
  v8::Local<v8::String> text = source_.Get(isolate_);
  const std::uint64_t begin = std::uint64_t{*start} + to_place(column) - 1;
  if (begin >= static_cast<std::uint64_t>(text->Length())) return "";
  // V8 names a function such as "exports.f" after what it is assigned to.
  const v8::String::Value whole(isolate_, name);
  const std::u16string_view full(reinterpret_cast<const char16_t*>(*whole), static_cast<std::size_t>(whole.length()));
  const std::u16string_view last = full.substr(full.rfind(u'.') + 1);  // npos + 1 is 0
  const std::uint64_t from = begin - std::min<std::uint64_t>(begin, kCodeBeforeFunction);
  std::u16string code(static_cast<std::size_t>(begin - from) + kCodeAfterFunction, u'\0');
  const int count = text->Write(isolate_, reinterpret_cast<std::uint16_t*>(code.data()), static_cast<int>(from),
                                static_cast<int>(code.size()), v8::String::NO_NULL_TERMINATION);
  code.resize(static_cast<std::size_t>(std::max(count, 0)));
  const auto found = find_function_name(code, static_cast<std::size_t>(begin - from), last);
  if (!found) return "";
  const auto place = static_cast<std::uint32_t>(from + *found);
  const auto next = std::ranges::upper_bound(line_starts_, place);
  const std::string original =
      source_map_->name_at(static_cast<std::uint32_t>(next - line_starts_.begin()), place - *(next - 1) + 1);
  if (original.empty() || last.size() == full.size()) return original;
  v8::String::Utf8Value before(isolate_, name);
  const std::string_view text_before(*before, static_cast<std::size_t>(before.length()));
  return std::string(text_before.substr(0, text_before.rfind('.') + 1)) + original;
}

bool ModuleHost::can_map_at_once() const {
  return source_map_ && (source_map_->is_decoded() || source_map_->bytes() <= kMostBytesAtOnce);
}

std::vector<ModuleHost::FunctionPlace> ModuleHost::function_places() {
  if (!can_map_at_once()) return {};
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> found;
  if (!engine_.runtime()
           .function_places.Get(isolate_)
           ->Call(context, v8::Undefined(isolate_), 0, nullptr)
           .ToLocal(&found) ||
      !found->IsArray()) {
    return {};
  }
  const auto number = [&](v8::Local<v8::Array> from, std::uint32_t at) {
    v8::Local<v8::Value> value;
    return from->Get(context, at).ToLocal(&value) && value->IsInt32() ? value.As<v8::Int32>()->Value() : 0;
  };
  std::vector<FunctionPlace> places;
  const auto frames = found.As<v8::Array>();
  for (std::uint32_t i = 0; i < frames->Length(); ++i) {
    v8::Local<v8::Value> parts;
    if (!frames->Get(context, i).ToLocal(&parts) || !parts->IsArray()) return {};
    const auto list = parts.As<v8::Array>();
    places.push_back({number(list, 0), number(list, 1), number(list, 2), number(list, 3)});
  }
  return places;
}

std::optional<std::string> ModuleHost::original_line(v8::Local<v8::Value> source, double line) {
  if (!source_map_) return std::nullopt;
  return source_map_->source_line(to_utf8(source, 1024), to_place(line));
}

std::optional<SourceMap::Place> ModuleHost::original_place_at_once(std::string_view script, int line, int column) {
  if (script != file_name_ || !can_map_at_once()) return std::nullopt;
  return source_map_->find(to_place(line), to_place(column));
}

v8::Local<v8::String> ModuleHost::source_text(v8::Local<v8::Value> script) {
  if (source_.IsEmpty() || !is_module_file(script)) return v8::String::Empty(isolate_);
  return source_.Get(isolate_);
}

void ModuleHost::set_environment(const ipc::LoadRequest& request) {
  if (request.environment.empty()) return;
  std::vector<v8::Local<v8::Value>> parts;  // names and values alternate
  for (const auto& [name, value] : request.environment) {
    for (const std::string_view part : {name, value}) parts.push_back(engine_.text(part));
  }
  v8::Local<v8::Value> list[] = {v8::Array::New(isolate_, parts.data(), parts.size())};
  engine_.runtime()
      .set_environment.Get(isolate_)
      ->Call(engine_.context(), v8::Undefined(isolate_), 1, list)
      .ToLocalChecked();
}

}  // namespace holdfast::worker
