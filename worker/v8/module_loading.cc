#include "worker/v8/module_loading.h"

#include <iterator>
#include <vector>

#include "worker/channel/stretch.h"
#include "worker/v8/module_loader.h"
#include "worker/v8/text.h"

namespace holdfast::worker {
namespace {

using std::chrono::steady_clock;

// A module may make an error or a stack as long as it likes; no more than this is shown.
constexpr std::size_t kMaxShownLineBytes = 256;

}  // namespace

ModuleLoading::ModuleLoading(Engine& engine, Outbox& outbox, ipc::SharedPage& page,
                             std::function<void()> run_microtasks)
    : engine_(engine),
      isolate_(engine.isolate()),
      outbox_(outbox),
      page_(page),
      run_microtasks_(std::move(run_microtasks)),
      source_(engine),
      exports_(engine) {}

LoadState ModuleLoading::load(const ipc::LoadRequest& request) {
  module_ = request.module;
  version_ = request.version;
  tag_ = request.tag;
  engine_.set_memory_limit(request.memory_bytes);
  engine_.clock().set_resolution(request.clock_resolution);
  time_origin_ = whole_millis(engine_.clock().now());
  deadline_.begin(steady_clock::now());

  v8::HandleScope scope(isolate_);
  engine_.set_code_from_strings_allowed(request.allow_code_from_strings);
  module_name_.Reset(isolate_, engine_.text(module_));
  version_name_.Reset(isolate_, engine_.text(version_));

  const Stretch stretch(page_, ipc::SharedPage::kLoading);
  engine_.set_current_call(ipc::SharedPage::kNothing);
  set_environment(request);
  v8::Local<v8::String> text = source_.take(request);
  if (text.IsEmpty()) return fail("the module's source is too long for V8");
  v8::Local<v8::String> file_name = engine_.text(source_.file_name());
  const auto compiled = compile_module(engine_, text, file_name);
  if (!compiled) return threw(compiled.error().thrown, compiled.error().place);
  return compiled->es_module.IsEmpty() ? run_common_js(compiled->common_js, file_name)
                                       : run_es_module(compiled->es_module);
}

void ModuleLoading::set_environment(const ipc::LoadRequest& request) {
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

LoadState ModuleLoading::run_common_js(v8::Local<v8::Function> body, v8::Local<v8::String> file_name) {
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
    return threw(failure);
  }
  run_microtasks_();
  v8::Local<v8::Value> exported;
  if (!module->Get(context, exports_key).ToLocal(&exported)) return threw(failure);
  return take_exports(exported, ModuleFormat::common_js);
}

LoadState ModuleLoading::run_es_module(v8::Local<v8::Module> module) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  if (const auto import = first_static_import(context, module)) {
    v8::Local<v8::Value> error;
    if (!missing_module(engine_, import->specifier, ImportedBy::static_import).ToLocal(&error)) {
      return threw(failure);
    }
    return threw_at(error, engine_.text(source_.file_name()), import->line, import->column, engine_.string(""));
  }
  const auto nothing_to_import = [](v8::Local<v8::Context>, v8::Local<v8::String>, v8::Local<v8::FixedArray>,
                                    v8::Local<v8::Module>) { return v8::MaybeLocal<v8::Module>(); };
  v8::Local<v8::Value> evaluation;
  if (!module->InstantiateModule(context, nothing_to_import).FromMaybe(false) ||
      !module->Evaluate(context).ToLocal(&evaluation)) {
    return threw(failure);
  }
  es_module_.Reset(isolate_, module);
  evaluation.As<v8::Promise>()->MarkAsHandled();
  evaluation_.Reset(isolate_, evaluation.As<v8::Promise>());
  run_microtasks_();
  if (!is_loading()) return LoadState::failed;  // by an unhandled rejection
  if (evaluation.As<v8::Promise>()->State() == v8::Promise::kPending) return LoadState::pending;
  return follow(steady_clock::now(), LoadDeadline::WakeUp::possible);
}

LoadState ModuleLoading::follow(TimePoint now, LoadDeadline::WakeUp wake_up) {
  v8::HandleScope scope(isolate_);
  v8::Local<v8::Promise> evaluation = evaluation_.Get(isolate_);
  switch (evaluation->State()) {
    case v8::Promise::kFulfilled:
      evaluation_.Reset();
      return take_exports(es_module_.Get(isolate_)->GetModuleNamespace(), ModuleFormat::es_module);
    case v8::Promise::kRejected: {
      const Stretch stretch(page_, ipc::SharedPage::kLoading);
      return threw(evaluation->Result(), {});
    }
    case v8::Promise::kPending:
      break;
  }
  auto failure = deadline_.failure(now, wake_up);
  return failure ? fail(std::move(*failure)) : LoadState::pending;
}

LoadState ModuleLoading::take_exports(v8::Local<v8::Value> exports, ModuleFormat format) {
  source_.loaded();
  if (auto taken = exports_.take(exports, format); !taken) return fail(std::move(taken.error()));
  encode(outbox_.buffer(), ipc::Loaded{});
  return LoadState::loaded;
}

// --- loads that fail -----------------------------------------------------------------------------------------------

LoadState ModuleLoading::fail_by(v8::Local<v8::Value> thrown, const char* prefix) { return threw(thrown, {}, prefix); }

LoadState ModuleLoading::threw(v8::Local<v8::Value> thrown, v8::Local<v8::Message> place, const char* prefix) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::String> none = engine_.string("");
  if (place.IsEmpty()) return threw_at(thrown, none, 0, 0, none, prefix);
  v8::Local<v8::Value> file = place->GetScriptResourceName();
  v8::Local<v8::String> code;
  if (!place->GetSourceLine(context).ToLocal(&code)) code = none;
  if (!file->IsString()) file = none;
  return threw_at(thrown, file, place->GetLineNumber(context).FromMaybe(0),
                  place->GetStartColumn(context).FromMaybe(-1) + 1, code, prefix);
}

LoadState ModuleLoading::threw_at(v8::Local<v8::Value> thrown, v8::Local<v8::Value> file, int line, int column,
                                  v8::Local<v8::Value> code, const char* prefix) {
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
    return fail("an error that cannot be shown was thrown");
  }
  ipc::Error error =
      make_error(ipc::ErrorCode::load_failed, prefix + to_utf8(isolate_, message, kMaxShownMessageBytes));
  error.stack = to_utf8(isolate_, stack, kMaxShownStackBytes);
  error.detail = to_utf8(isolate_, shown_line, kMaxShownLineBytes);
  error.properties = to_utf8(isolate_, properties, ipc::kMaxPropertiesBytes);
  return fail(std::move(error));
}

LoadState ModuleLoading::fail(ipc::Error error) {
  evaluation_.Reset();
  encode(outbox_.buffer(), ipc::LoadFailed{std::move(error)});
  return LoadState::failed;
}

}  // namespace holdfast::worker
