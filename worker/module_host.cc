#include "worker/module_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ipc/units.h"
#include "worker/stretch.h"

namespace holdfast::worker {
namespace {

using std::chrono::steady_clock;

// A module may make a log line as long as it likes; nobody reads more than 8 kB. A little more shows that it is cut.
constexpr std::size_t kMaxLogLineBytes = (8 << 10) + 4;
// Log lines beyond this much unsent output are dropped: answers matter more.
constexpr std::size_t kMaxUnsentForLogs = 1 << 20;
// More unhandled rejections than this in one stretch say nothing new.
constexpr std::size_t kMaxRejections = 16;
// Of so many cancelled calls it is remembered that they were, for functions that look at their signal only then. Those
// that wait for something meanwhile are as many as a worker has calls, and a few.
constexpr std::size_t kMostCancelledRemembered = 1024;
// setTimeout's longest delay (HTML Standard, 8.6: a signed 32-bit number of milliseconds).
constexpr double kMaxDelayMillis = 2147483647;

// As Date.now() has it.
double whole_millis(std::chrono::nanoseconds time) {
  return static_cast<double>(std::chrono::floor<std::chrono::milliseconds>(time).count());
}

}  // namespace

ModuleHost::ModuleHost(Engine& engine, Outbox& outbox, ipc::SharedPage& page)
    : engine_(engine), isolate_(engine.isolate()), outbox_(outbox), page_(page) {
  engine_.set_host(this);
  isolate_->SetPromiseRejectCallback(&ModuleHost::on_promise_reject);
  isolate_->AddMessageListener(&ModuleHost::on_uncaught);
}

ModuleHost::~ModuleHost() {
  isolate_->RemoveMessageListeners(&ModuleHost::on_uncaught);
  engine_.set_host(nullptr);
}

// --- loading -------------------------------------------------------------------------------------------------------

bool ModuleHost::load(const ipc::LoadRequest& request) {
  module_ = request.module;
  version_ = request.version;
  max_payload_bytes_ = request.max_payload_bytes;
  tag_ = request.tag;
  engine_.set_memory_limit(request.memory_bytes);
  engine_.clock().set_resolution(request.clock_resolution);
  time_origin_ = whole_millis(engine_.clock().now());

  v8::HandleScope scope(isolate_);
  engine_.set_code_from_strings_allowed(request.allow_code_from_strings);
  v8::Local<v8::Context> context = engine_.context();
  module_name_.Reset(isolate_, engine_.string(module_));
  version_name_.Reset(isolate_, engine_.string(version_));

  const Stretch stretch(page_, ipc::SharedPage::kLoading);
  set_current_call(0);
  v8::TryCatch failure(isolate_);
  set_environment(request);
  v8::Local<v8::String> text;
  if (!v8::String::NewFromUtf8(isolate_, ipc::as_text(request.source).data(), v8::NewStringType::kNormal,
                               static_cast<int>(request.source.size()))
           .ToLocal(&text)) {
    load_failed(make_error(ipc::ErrorCode::load_failed, "the module's source is too long for V8"));
    return false;
  }

  // The module function of CommonJS (https://nodejs.org/api/modules.html#the-module-wrapper), without what there is
  // no file system for.
  v8::Local<v8::Object> module = v8::Object::New(isolate_);
  v8::Local<v8::Object> exports = v8::Object::New(isolate_);
  v8::Local<v8::String> exports_key = engine_.string("exports");
  module->Set(context, exports_key, exports).Check();
  v8::Local<v8::String> parameters[] = {exports_key, engine_.string("require"), engine_.string("module")};
  v8::Local<v8::Value> arguments[] = {exports, engine_.runtime().require.Get(isolate_), module};

  v8::ScriptOrigin origin(isolate_, engine_.string(request.file_name));
  v8::ScriptCompiler::Source source(text, origin);
  v8::Local<v8::Function> body;
  if (!v8::ScriptCompiler::CompileFunctionInContext(context, &source, 3, parameters, 0, nullptr).ToLocal(&body) ||
      body->Call(context, exports, 3, arguments).IsEmpty()) {
    load_threw(failure);
    return false;
  }
  run_microtasks();

  v8::Local<v8::Value> exported;
  if (!module->Get(context, exports_key).ToLocal(&exported)) {
    load_threw(failure);
    return false;
  }
  if (!exported->IsObject()) {
    load_failed(make_error(ipc::ErrorCode::load_failed,
                           fmt::format("module.exports must be an object whose properties are functions, but it is {}",
                                       to_utf8(exported->TypeOf(isolate_), 32))));
    return false;
  }
  exports_.Reset(isolate_, exported.As<v8::Object>());
  encode(outbox_.buffer(), ipc::Loaded{});
  return true;
}

void ModuleHost::set_environment(const ipc::LoadRequest& request) {
  if (request.environment.empty()) return;
  std::vector<v8::Local<v8::Value>> parts;  // names and values take turns
  for (const auto& [name, value] : request.environment) {
    for (const std::string_view part : {name, value}) {
      parts.push_back(
          v8::String::NewFromUtf8(isolate_, part.data(), v8::NewStringType::kNormal, static_cast<int>(part.size()))
              .ToLocalChecked());
    }
  }
  v8::Local<v8::Value> list[] = {v8::Array::New(isolate_, parts.data(), parts.size())};
  engine_.runtime()
      .set_environment.Get(isolate_)
      ->Call(engine_.context(), v8::Undefined(isolate_), 1, list)
      .ToLocalChecked();
}

void ModuleHost::load_threw(const v8::TryCatch& failure) {
  auto [message, stack] = describe(failure.Exception());
  ipc::Error error = make_error(ipc::ErrorCode::load_failed, std::move(message));
  // A syntax error has no stack: its place is all there is to say where.
  v8::Local<v8::Message> place = failure.Message();
  if (!place.IsEmpty()) {
    v8::Local<v8::Context> context = engine_.context();
    if (stack.empty()) {
      stack = fmt::format("    at {}:{}:{}", to_utf8(place->GetScriptResourceName(), 256),
                          place->GetLineNumber(context).FromMaybe(0), place->GetStartColumn(context).FromMaybe(-1) + 1);
    }
    v8::Local<v8::String> line;
    if (place->GetSourceLine(context).ToLocal(&line)) error.detail = to_utf8(line, 256);
  }
  error.stack = std::move(stack);
  load_failed(std::move(error));
}

void ModuleHost::load_failed(ipc::Error error) { encode(outbox_.buffer(), ipc::LoadFailed{std::move(error)}); }

// --- calls ---------------------------------------------------------------------------------------------------------

void ModuleHost::start(const ipc::WorkerCall& call) {
  const auto now = steady_clock::now();
  if (call.deadline != steady_clock::time_point{} && call.deadline <= now) {
    return answer_error(call.id, make_error(ipc::ErrorCode::deadline_exceeded,
                                            "the call's time was over before its worker came to it: other calls of its "
                                            "module took too long"));
  }
  page_.last_started.store(call.id, std::memory_order_relaxed);
  const Stretch stretch(page_, call.id, now);
  v8::HandleScope scope(isolate_);
  open_.try_emplace(call.id);
  set_current_call(call.id);
  invoke(call);
  run_microtasks();
}

void ModuleHost::invoke(const ipc::WorkerCall& call) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Function> function;
  if (!find_function(call.function).ToLocal(&function)) {
    if (failure.HasCaught()) return answer_exception(call.id, failure.Exception());
    return answer_error(call.id, make_error(ipc::ErrorCode::not_found,
                                            fmt::format("module {}@{} exports no function \"{}\"; it exports: {}",
                                                        module_, version_, call.function, exported_names())));
  }
  std::vector<v8::Local<v8::Value>> arguments;
  if (!read_arguments(call, arguments)) {
    return answer_error(
        call.id,
        make_error(ipc::ErrorCode::protocol_error,
                   failure.HasCaught() ? "the payload is not JSON: " + describe(failure.Exception()).first
                                       : "the payload of a call with positional arguments must be a JSON array"));
  }
  arguments.push_back(make_context(call));

  v8::Local<v8::Value> value;
  const bool returned =
      function->Call(context, exports_.Get(isolate_), static_cast<int>(arguments.size()), arguments.data())
          .ToLocal(&value);
  if (!returned) return answer_exception(call.id, failure.Exception());
  if (!value->IsObject()) return answer_value(call.id, value);
  if (value->IsPromise()) {
    // Marked now, so that a rejection is taken for an answer and not for one that nobody handles.
    value.As<v8::Promise>()->MarkAsHandled();
    run_microtasks();
    set_current_call(call.id);
    switch (value.As<v8::Promise>()->State()) {
      case v8::Promise::kFulfilled:
        return answer_value(call.id, value.As<v8::Promise>()->Result());
      case v8::Promise::kRejected:
        return answer_exception(call.id, value.As<v8::Promise>()->Result());
      case v8::Promise::kPending:
        break;
    }
  }
  // Something that will settle later, or an object that may be thenable: JavaScript's own await knows.
  v8::Local<v8::Value> watched[] = {v8::Number::New(isolate_, static_cast<double>(call.id)), value};
  if (engine_.runtime().watch.Get(isolate_)->Call(context, v8::Undefined(isolate_), 2, watched).IsEmpty()) {
    answer_exception(call.id, failure.Exception());
  }
}

// An own property of the exports that is a function: what every object inherits ("constructor", "toString") was not
// exported by anybody.
v8::MaybeLocal<v8::Function> ModuleHost::find_function(std::string_view name) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Object> exports = exports_.Get(isolate_);
  v8::Local<v8::String> key = engine_.string(name);
  if (!exports->HasOwnProperty(context, key).FromMaybe(false)) return {};
  v8::Local<v8::Value> value;
  if (!exports->Get(context, key).ToLocal(&value) || !value->IsFunction()) return {};
  return value.As<v8::Function>();
}

bool ModuleHost::read_arguments(const ipc::WorkerCall& call, std::vector<v8::Local<v8::Value>>& arguments) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::Value> payload = v8::Null(isolate_);
  if (!call.payload.empty()) {
    v8::Local<v8::String> text;
    if (!v8::String::NewFromUtf8(isolate_, ipc::as_text(call.payload).data(), v8::NewStringType::kNormal,
                                 static_cast<int>(call.payload.size()))
             .ToLocal(&text) ||
        !v8::JSON::Parse(context, text).ToLocal(&payload)) {
      return false;
    }
  }
  if (call.arguments == ipc::ArgumentStyle::single) {
    arguments.push_back(payload);
    return true;
  }
  if (!payload->IsArray()) return false;
  const auto array = payload.As<v8::Array>();
  for (std::uint32_t i = 0; i < array->Length(); ++i) {
    v8::Local<v8::Value> argument;
    if (!array->Get(context, i).ToLocal(&argument)) return false;
    arguments.push_back(argument);
  }
  return true;
}

v8::Local<v8::Value> ModuleHost::make_context(const ipc::WorkerCall& call) {
  const std::string id = ipc::request_id(tag_, call.id);
  const double deadline = call.deadline == TimePoint{} ? std::numeric_limits<double>::infinity()
                                                       : whole_millis(call.deadline.time_since_epoch());
  v8::Local<v8::Value> parts[] = {
      v8::Number::New(isolate_, static_cast<double>(call.id)),
      v8::Number::New(isolate_, deadline),
      v8::String::NewFromUtf8(isolate_, id.data(), v8::NewStringType::kNormal, static_cast<int>(id.size()))
          .ToLocalChecked(),
      module_name_.Get(isolate_),
      version_name_.Get(isolate_),
      engine_.string(call.function)};
  v8::Local<v8::Value> made;
  if (!engine_.runtime()
           .make_context.Get(isolate_)
           ->Call(engine_.context(), v8::Undefined(isolate_), 6, parts)
           .ToLocal(&made)) {
    return v8::Undefined(isolate_);
  }
  return made;
}

void ModuleHost::spare(std::uint64_t id) {
  answer_error(id, make_error(ipc::ErrorCode::cancelled, "the call was cancelled before it was begun"));
}

void ModuleHost::cancel(std::uint64_t id, ipc::CancelReason reason) {
  const auto call = open_.find(id);
  if (call == open_.end() || call->second.cancelled) return;
  if (call->second.signal.IsEmpty()) {
    answer_cancelled(id);
    cancelled_.emplace_back(id, reason);
    if (cancelled_.size() > kMostCancelledRemembered) cancelled_.pop_front();
    return;
  }
  call->second.cancelled = true;
  const auto now = steady_clock::now();
  graces_.emplace_back(now + ipc::kCancelGrace, id);

  const Stretch stretch(page_, id, now);
  v8::HandleScope scope(isolate_);
  set_current_call(id);
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> parts[] = {call->second.signal.Get(isolate_),
                                  v8::Integer::New(isolate_, static_cast<std::int32_t>(reason))};
  if (engine_.runtime()
          .abort_call.Get(isolate_)
          ->Call(engine_.context(), v8::Undefined(isolate_), 2, parts)
          .IsEmpty()) {
    log_uncaught("an abort", failure.Exception());
  }
  run_microtasks();
}

void ModuleHost::let_go(TimePoint now) {
  for (; !graces_.empty() && graces_.front().first <= now; graces_.pop_front()) {
    if (open_.contains(graces_.front().second)) answer_cancelled(graces_.front().second);
  }
}

std::optional<ipc::CancelReason> ModuleHost::take_signal(std::uint64_t id, v8::Local<v8::Object> signal) {
  if (const auto call = open_.find(id); call != open_.end()) {
    call->second.signal.Reset(isolate_, signal);
    return std::nullopt;
  }
  const auto found =
      std::find_if(cancelled_.begin(), cancelled_.end(), [&](const auto& call) { return call.first == id; });
  return found == cancelled_.end() ? std::nullopt : std::optional(found->second);
}

double ModuleHost::clock_at(double monotonic_millis) const {
  if (std::isinf(monotonic_millis)) return monotonic_millis;
  const auto since_boot = std::chrono::milliseconds(static_cast<std::int64_t>(monotonic_millis));
  return whole_millis(engine_.clock().at(TimePoint(since_boot)));
}

void ModuleHost::settle(std::uint64_t id, bool fulfilled, v8::Local<v8::Value> value) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;  // let go
  if (call->second.cancelled) return answer_cancelled(id);
  if (fulfilled) {
    answer_value(id, value);
  } else {
    answer_exception(id, value);
  }
}

// --- what runs between calls ---------------------------------------------------------------------------------------

void ModuleHost::set_current_call(std::uint64_t id) {
  engine_.context()->SetContinuationPreservedEmbedderData(v8::Number::New(isolate_, static_cast<double>(id)));
}

std::uint64_t ModuleHost::current_call() const {
  v8::HandleScope scope(isolate_);
  v8::Local<v8::Value> id = engine_.context()->GetContinuationPreservedEmbedderData();
  return id->IsNumber() ? static_cast<std::uint64_t>(id.As<v8::Number>()->Value()) : 0;
}

void ModuleHost::run_microtasks() {
  isolate_->PerformMicrotaskCheckpoint();
  report_unhandled_rejections();
  tell_of_dropped_lines();
}

std::optional<ModuleHost::TimePoint> ModuleHost::next_timer() const {
  const auto timer = timers_.next_due();
  if (graces_.empty()) return timer;
  return std::min(graces_.front().first, timer.value_or(TimePoint::max()));
}

bool ModuleHost::run_due_timer(steady_clock::time_point now) {
  const auto copy = [this](const TimerAction& action) {
    return TimerAction{v8::Global<v8::Function>(isolate_, action.callback), action.call};
  };
  const auto align = [this](steady_clock::time_point due) { return engine_.clock().step_after(due); };
  auto action = timers_.take_due(now, copy, align);
  if (!action) return false;
  const Stretch stretch(page_, action->call);
  v8::HandleScope scope(isolate_);
  set_current_call(action->call);
  v8::TryCatch failure(isolate_);
  if (action->callback.Get(isolate_)->Call(engine_.context(), v8::Undefined(isolate_), 0, nullptr).IsEmpty()) {
    log_uncaught("a timer", failure.Exception());
  }
  run_microtasks();
  return true;
}

void ModuleHost::run_pending_tasks() {
  const Stretch stretch(page_, ipc::SharedPage::kBackground);
  v8::HandleScope scope(isolate_);
  set_current_call(0);
  engine_.run_pending_tasks();
  run_microtasks();
}

std::uint32_t ModuleHost::set_timer(v8::Local<v8::Function> callback, double delay_millis, bool repeat) {
  // NaN and negative delays count as 0; an interval of 0 would never let anything else run.
  double delay = delay_millis >= 1 ? std::min(std::floor(delay_millis), kMaxDelayMillis) : 0;
  if (repeat) delay = std::max(delay, 1.0);
  const auto duration = std::chrono::milliseconds(static_cast<std::int64_t>(delay));
  // One without a delay runs in the next turn, whatever the time, and so tells nothing of it.
  const auto now = steady_clock::now();
  return timers_.set(delay == 0 ? now : engine_.clock().step_after(now + duration),
                     repeat ? std::optional<steady_clock::duration>(duration) : std::nullopt,
                     TimerAction{v8::Global<v8::Function>(isolate_, callback), current_call()});
}

void ModuleHost::log(ipc::LogLevel level, std::string_view text) {
  if (outbox_.unsent_bytes() > kMaxUnsentForLogs) {
    ++log_lines_dropped_;
    return;
  }
  encode(outbox_.buffer(),
         ipc::LogLine{level, text.substr(0, kMaxLogLineBytes), current_call(), std::exchange(log_lines_dropped_, 0)});
}

void ModuleHost::tell_of_dropped_lines() {
  if (log_lines_dropped_ == 0) return;
  encode(outbox_.buffer(), ipc::LogLine{ipc::LogLevel::warning, "", current_call(), log_lines_dropped_});
  log_lines_dropped_ = 0;
}

void ModuleHost::log_uncaught(const char* where, v8::Local<v8::Value> thrown) {
  const auto [message, stack] = describe(thrown);
  log(ipc::LogLevel::error, fmt::format("uncaught in {}: {}\n{}", where, message, stack));
}

void ModuleHost::on_promise_reject(v8::PromiseRejectMessage message) {
  v8::Local<v8::Promise> promise = message.GetPromise();
  v8::Isolate* isolate = promise->GetIsolate();
  ModuleHost* host = Engine::host_of(isolate);
  if (host == nullptr) return;
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler) {
    if (host->rejections_.size() < kMaxRejections) {
      host->rejections_.push_back({v8::Global<v8::Promise>(isolate, promise),
                                   v8::Global<v8::Value>(isolate, message.GetValue()), host->current_call()});
    }
  } else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject) {
    std::erase_if(host->rejections_, [&](const Rejection& rejection) { return rejection.promise == promise; });
  }
}

// Of what a microtask throws, nobody else hears.
void ModuleHost::on_uncaught(v8::Local<v8::Message>, v8::Local<v8::Value> thrown) {
  ModuleHost* host = Engine::host_of(v8::Isolate::GetCurrent());
  if (host == nullptr) return;
  host->log_uncaught("a microtask", thrown);
}

void ModuleHost::report_unhandled_rejections() {
  for (const Rejection& rejection : std::exchange(rejections_, {})) {
    // A function's own promise is an answer, and marked as handled once it was returned.
    if (rejection.promise.Get(isolate_)->HasHandler()) continue;
    set_current_call(rejection.call);
    const auto [message, stack] = describe(rejection.reason.Get(isolate_));
    log(ipc::LogLevel::error, fmt::format("unhandled promise rejection: {}\n{}", message, stack));
  }
}

}  // namespace holdfast::worker
