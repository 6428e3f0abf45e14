#include "worker/v8/module_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ipc/base/units.h"
#include "worker/v8/fatal_report.h"
#include "worker/channel/stretch.h"

namespace holdfast::worker {
namespace {

using std::chrono::steady_clock;

// A module may make a log line as long as it likes; at most 8 kB of it are shown. A little more shows that it is cut.
constexpr std::size_t kMaxLogLineBytes = (8 << 10) + 4;
// While more than this is unsent, log lines are dropped: answers matter more.
constexpr std::size_t kMaxUnsentForLogs = 1 << 20;
// How many of the latest cancelled calls are remembered, for functions that look at their signal only afterwards. At
// most as many functions as a worker has calls, and a few, wait for something in the meantime.
constexpr std::size_t kMostCancelledRemembered = 1024;
// setTimeout's longest delay (HTML Standard, 8.6: a signed 32-bit number of milliseconds).
constexpr double kMaxDelayMillis = 2147483647;

}  // namespace

ModuleHost::ModuleHost(Engine& engine, Outbox& outbox, Line* line, ipc::SharedPage& page)
    : engine_(engine),
      isolate_(engine.isolate()),
      outbox_(outbox),
      line_(line),
      page_(page),
      payloads_(engine, [this](v8::Local<v8::Value> thrown) {
        Thrown described = describe(thrown);
        return std::pair(std::move(described.message), std::move(described.stack));
      }) {
  engine_.set_host(this);
}

void ModuleHost::listen_to(v8::Isolate* isolate) {
  isolate->SetPromiseRejectCallback(&ModuleHost::on_promise_reject);
  isolate->AddMessageListener(&ModuleHost::on_uncaught);
}

ModuleHost::~ModuleHost() {
  isolate_->SetPrepareStackTraceCallback(nullptr);
  engine_.set_host(nullptr);
}

// --- calls ---------------------------------------------------------------------------------------------------------

void ModuleHost::start(const ipc::WorkerCall& call) {
  if (soft_stop_requested()) end_between_stretches();  // before the page says that the call was begun
  const auto now = steady_clock::now();
  if (call.deadline != steady_clock::time_point{} && call.deadline <= now) {
    return answer_error(call.id, make_error(ipc::ErrorCode::deadline_exceeded,
                                            "the call's time was over before its worker came to it: other calls of its "
                                            "module took too long"));
  }
  if (ipc::SharedPage::is_line_call(call.id)) {
    page_.line_started.store(ipc::SharedPage::place_on_line(call.id), std::memory_order_relaxed);
  }
  const Stretch stretch = enter(call.id, now);
  v8::HandleScope scope(isolate_);
  OpenCall& open = open_.try_emplace(call.id).first->second;
  open.wanted = {call.encoding, call.result_encoding};
  open.takes_stream = call.stream_window_bytes > 0;
  open.window_bytes = call.stream_window_bytes;
  set_current_call(call.id);
  invoke(call);
  run_microtasks(call.id);
}

// Begins a stretch: JavaScript of this call, or of none, is at work from now on.
Stretch ModuleHost::enter(std::uint64_t call, TimePoint now) {
  if (soft_stop_requested()) end_between_stretches();  // the stop is not for the next stretch
  count_up_to(now);
  was_lines_ = ipc::SharedPage::is_line_call(call);
  // The line's calls are charged to no caller, nor is the load to the calls that wait for it.
  if (!was_lines_ && call != ipc::SharedPage::kLoading) uncounted_ = {call, now};
  return Stretch(page_, call, now);
}

bool ModuleHost::end_step(TimePoint now) {
  turns_.took(now - turn_began_);
  count_up_to(now);
  return std::exchange(was_lines_, false);
}

void ModuleHost::count_up_to(TimePoint now) {
  if (uncounted_) count(uncounted_->call, now - uncounted_->since);
  uncounted_.reset();
}

// Charges so much time at work to a call, or to none.
void ModuleHost::count(std::uint64_t call, std::chrono::nanoseconds time) {
  const auto open = open_.find(call);
  if (open == open_.end() && (call == ipc::SharedPage::kNothing || call == ipc::SharedPage::kBackground)) {
    unclaimed_time_ += time;
    page_.unclaimed_time.store(static_cast<std::uint64_t>(unclaimed_time_.count()), std::memory_order_relaxed);
    return;
  }
  auto& run = open != open_.end() ? open->second.run : left_run_[ipc::SharedPage::caller_of(call)];
  run += time;
  // Report long runs before the answer: calls in a row cost their caller nothing until they are answered, while other
  // callers wait.
  if (run >= ipc::kLongRun) encode(outbox_.buffer(), ipc::WorkerRan{call, std::exchange(run, {})});
}

// The time to report with the answer of a call, up to now.
std::chrono::nanoseconds ModuleHost::run_time_of(std::uint64_t id) {
  const auto open = open_.find(id);
  if (open == open_.end()) return {};
  auto run = open->second.run;
  if (uncounted_ && uncounted_->call == id) {
    const auto now = steady_clock::now();
    run += now - std::exchange(uncounted_->since, now);
  }
  return run;
}

void ModuleHost::invoke(const ipc::WorkerCall& call) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  const auto exported = find_function(call.function);
  if (!exported) {
    if (failure.HasCaught()) return answer_exception(call.id, failure.Exception());
    return answer_not_exported(call);
  }
  std::vector<v8::Local<v8::Value>> arguments;
  if (auto read = payloads_.read(call, arguments); !read) {
    return answer_error(call.id, make_error(ipc::ErrorCode::protocol_error, std::move(read.error())));
  }
  arguments.push_back(make_context(call));

  v8::Local<v8::Value> value;
  const bool returned =
      exported->function->Call(context, exported->receiver, static_cast<int>(arguments.size()), arguments.data())
          .ToLocal(&value);
  if (!returned) {
    // A class that is called throws before any code of its own runs.
    if (is_class(exported->function)) return answer_not_exported(call);
    return answer_exception(call.id, failure.Exception());
  }
  if (!value->IsObject()) return answer_value(call.id, value);
  if (value->IsPromise()) {
    // Marked now, so that a rejection counts as an answer and not as an unhandled one.
    value.As<v8::Promise>()->MarkAsHandled();
    // Promises that are rejected here are reported after the answer, if there is one by then.
    isolate_->PerformMicrotaskCheckpoint();
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
  // A promise that settles later, or an object that may be thenable: let JavaScript's own await decide.
  v8::Local<v8::Value> watched[] = {v8::Number::New(isolate_, static_cast<double>(call.id)), value};
  if (engine_.runtime().watch.Get(isolate_)->Call(context, v8::Undefined(isolate_), 2, watched).IsEmpty()) {
    answer_exception(call.id, failure.Exception());
  }
}

// Finds a function among the own properties of the exports. What every object inherits ("constructor", "toString") is
// not exported. A named export of an ES module is called without a receiver; a property of CommonJS exports, or of a
// default export, is called on that object. Exports that are a function themselves are called "default", the name by
// which Node.js imports them.
std::optional<ModuleHost::Exported> ModuleHost::find_function(std::string_view name) {
  v8::Local<v8::Context> context = engine_.context();
  v8::Local<v8::String> key = engine_.string(name);
  const auto find = [&](v8::Local<v8::Object> in) -> v8::MaybeLocal<v8::Function> {
    if (!in->HasOwnProperty(context, key).FromMaybe(false)) return {};
    v8::Local<v8::Value> value;
    if (!in->Get(context, key).ToLocal(&value) || !value->IsFunction()) return {};
    return value.As<v8::Function>();
  };
  v8::Local<v8::Object> exports = exports_.Get(isolate_);
  v8::Local<v8::Function> function;
  if (find(exports).ToLocal(&function)) {
    return Exported{is_es_module_ ? v8::Undefined(isolate_).As<v8::Value>() : exports.As<v8::Value>(), function};
  }
  const auto by_default = default_export();
  if (by_default && find(*by_default).ToLocal(&function)) return Exported{*by_default, function};
  if (name == ipc::kDefaultFunction && exports->IsFunction()) {
    return Exported{v8::Undefined(isolate_), exports.As<v8::Function>()};
  }
  return std::nullopt;
}

v8::Local<v8::Value> ModuleHost::make_context(const ipc::WorkerCall& call) {
  const std::string id = ipc::request_id(tag_, call.id);
  const double deadline = call.deadline == TimePoint{} ? std::numeric_limits<double>::infinity()
                                                       : whole_millis(call.deadline.time_since_epoch());
  v8::Local<v8::Value> parts[] = {v8::Number::New(isolate_, static_cast<double>(call.id)),
                                  v8::Number::New(isolate_, deadline),
                                  engine_.text(id),
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
  if (call->second.signal.IsEmpty() && call->second.stop.IsEmpty()) {
    answer_cancelled(id);
    return remember_cancelled(id, reason);
  }
  call->second.cancelled = reason;
  queue(Task::Kind::abort, id);
}

void ModuleHost::abort(std::uint64_t id) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;  // it has settled by now
  call->second.aborted = true;
  graces_.emplace_back(steady_clock::now() + ipc::kCancelGrace, id);
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Function> stop = call->second.stop.Get(isolate_);
  if (!call->second.signal.IsEmpty()) {
    v8::Local<v8::Value> parts[] = {call->second.signal.Get(isolate_),
                                    v8::Integer::New(isolate_, static_cast<std::int32_t>(*call->second.cancelled))};
    if (engine_.runtime()
            .abort_call.Get(isolate_)
            ->Call(engine_.context(), v8::Undefined(isolate_), 2, parts)
            .IsEmpty()) {
      log_uncaught("an abort", failure.Exception());
      failure.Reset();
    }
  }
  // Neither throws, unless the process is being ended.
  if (!stop.IsEmpty() && stop->Call(engine_.context(), v8::Undefined(isolate_), 0, nullptr).IsEmpty()) failure.Reset();
}

void ModuleHost::grant(std::uint64_t id, std::uint64_t bytes) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;
  call->second.window_bytes += static_cast<std::int64_t>(bytes);
  if (call->second.window_bytes <= 0 || call->second.resume.IsEmpty()) return;
  if (!std::exchange(call->second.resumes, true)) queue(Task::Kind::resume, id);
}

void ModuleHost::resume(std::uint64_t id) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;
  call->second.resumes = false;
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Function> resume = call->second.resume.Get(isolate_);
  call->second.resume.Reset();
  if (resume->Call(engine_.context(), v8::Undefined(isolate_), 0, nullptr).IsEmpty()) failure.Reset();
}

void ModuleHost::let_go(TimePoint now) {
  for (; !graces_.empty() && graces_.front().first <= now; graces_.pop_front()) {
    const std::uint64_t id = graces_.front().second;
    const auto call = open_.find(id);
    if (call == open_.end()) continue;
    remember_cancelled(id, *call->second.cancelled);
    answer_cancelled(id);
  }
}

void ModuleHost::remember_cancelled(std::uint64_t id, ipc::CancelReason reason) {
  cancelled_.emplace_back(id, reason);
  if (cancelled_.size() > kMostCancelledRemembered) cancelled_.pop_front();
}

std::optional<ipc::CancelReason> ModuleHost::take_signal(std::uint64_t id, v8::Local<v8::Object> signal) {
  if (const auto call = open_.find(id); call != open_.end()) {
    if (!call->second.cancelled) call->second.signal.Reset(isolate_, signal);
    return call->second.cancelled;
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
  if (call == open_.end()) return;  // answered by let_go()
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

// Ends a stretch of this call. Failures of the call's owner are reported in this stretch. Failures of other owners,
// and failures of the listeners themselves, are queued as tasks, so that listeners that fail for ever get their share
// only.
void ModuleHost::run_microtasks(std::uint64_t call) {
  isolate_->PerformMicrotaskCheckpoint();
  if (!failures_.empty()) {
    report_failures(turn_owner_of(call));
    isolate_->PerformMicrotaskCheckpoint();  // of listeners that await something
    queue_left_failures();
  }
  tell_of_dropped_lines();
}

std::optional<ModuleHost::TimePoint> ModuleHost::next_turn() const {
  if (turns_.size() > 0) return TimePoint{};  // at once
  auto timer = timers_.next_due();
  if (is_loading()) timer = std::min(load_deadline_, timer.value_or(load_deadline_));
  if (graces_.empty()) return timer;
  return std::min(graces_.front().first, timer.value_or(TimePoint::max()));
}

// There are two numbers beyond the callers' own: one for the client of the direct line, one for the module's top
// level.
ModuleHost::TurnOwner ModuleHost::turn_owner_of(std::uint64_t call) {
  if (call == ipc::SharedPage::kNothing) return ipc::SharedPage::kMostCallers + 1;
  return ipc::SharedPage::is_line_call(call) ? ipc::SharedPage::kMostCallers : ipc::SharedPage::caller_of(call);
}

void ModuleHost::queue(Task::Kind kind, std::uint64_t call) { turns_.push(turn_owner_of(call), {kind, call}); }

void ModuleHost::queue_message(TurnOwner owner, std::uint64_t call) {
  turns_.push(owner, {Task::Kind::message, call, owner});
}

// Queues all due timers at once, because only queued ones get their share. A million of them, which fill the memory
// of most modules, take some tenths of a second to queue, about as long as to set.
void ModuleHost::queue_due_timers(TimePoint now) {
  while (const auto due = timers_.next_due_at(now)) {
    const std::uint64_t call = due->second->call;
    turns_.push(turn_owner_of(call), {Task::Kind::timer, call, due->first});
  }
}

void ModuleHost::run_task() {
  const auto next = turns_.take();
  if (!next) return;
  turn_began_ = steady_clock::now();
  const Task task = *next;
  std::optional<LaterAction> timer;
  if (task.kind == Task::Kind::timer) {
    const auto copy = [this](const LaterAction& action) {
      return LaterAction{v8::Global<v8::Function>(isolate_, action.callback), action.call};
    };
    const auto align = [this](TimePoint due) { return engine_.clock().step_after(due); };
    timer = timers_.take(task.id, turn_began_, copy, align);
    if (!timer) return;  // it was cleared
  }
  // A cancelled call of the line has its answer already, so the worker must not be stopped for its deadline.
  const bool is_answered = task.kind == Task::Kind::abort && ipc::SharedPage::is_line_call(task.call);
  const Stretch stretch = enter(is_loading()  ? ipc::SharedPage::kLoading
                                : is_answered ? task.call | ipc::SharedPage::kLineAnsweredBit
                                              : task.call);
  v8::HandleScope scope(isolate_);
  set_current_call(task.call);
  switch (task.kind) {
    case Task::Kind::message:
      run_message(task.id);
      break;
    case Task::Kind::abort:
      abort(task.call);
      break;
    case Task::Kind::resume:
      resume(task.call);
      break;
    case Task::Kind::timer:
      run_timer(timer->callback);
      break;
    case Task::Kind::failures:
      if (const auto left = failures_.find(task.id); left != failures_.end()) left->second.is_queued = false;
      break;  // run_microtasks() below reports what is left
  }
  run_microtasks(task.call);
}

void ModuleHost::run_message(TurnOwner owner) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Function> run = engine_.runtime().run_task.Get(isolate_);
  v8::Local<v8::Value> whose[] = {v8::Integer::NewFromUnsigned(isolate_, owner)};
  if (run->Call(engine_.context(), v8::Undefined(isolate_), 1, whose).IsEmpty()) {
    report_uncaught("a message", failure.Exception(), failure.Message());
  }
}

void ModuleHost::run_timer(const v8::Global<v8::Function>& callback) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Context> context = engine_.context();
  if (callback.Get(isolate_)->Call(context, context->Global(), 0, nullptr).IsEmpty()) {
    report_uncaught("a timer", failure.Exception(), failure.Message());
  }
}

void ModuleHost::enqueue_microtask(v8::Local<v8::Function> callback) {
  microtasks_.push_back({v8::Global<v8::Function>(isolate_, callback), current_call()});
  isolate_->EnqueueMicrotask(&ModuleHost::run_microtask, isolate_);
}

void ModuleHost::run_microtask(void* isolate) {
  ModuleHost* const current = Engine::host_of(static_cast<v8::Isolate*>(isolate));
  if (current == nullptr || current->microtasks_.empty()) return;  // of a module that is gone
  ModuleHost& host = *current;
  v8::HandleScope scope(host.isolate_);
  const LaterAction action = std::move(host.microtasks_.front());
  host.microtasks_.pop_front();
  host.set_current_call(action.call);
  v8::TryCatch failure(host.isolate_);
  v8::Local<v8::Context> context = host.engine_.context();
  if (action.callback.Get(host.isolate_)->Call(context, v8::Undefined(host.isolate_), 0, nullptr).IsEmpty()) {
    host.report_uncaught("a microtask", failure.Exception(), failure.Message());
  }
}

void ModuleHost::run_pending_tasks() {
  const Stretch stretch(page_, ipc::SharedPage::kBackground);
  v8::HandleScope scope(isolate_);
  set_current_call(0);
  engine_.run_pending_tasks();
  run_microtasks(0);
}

std::uint32_t ModuleHost::set_timer(v8::Local<v8::Function> callback, double delay_millis, bool repeat) {
  // NaN and negative delays count as 0; an interval of 0 would never let anything else run.
  double delay = delay_millis >= 1 ? std::min(std::floor(delay_millis), kMaxDelayMillis) : 0;
  if (repeat) delay = std::max(delay, 1.0);
  const auto duration = std::chrono::milliseconds(static_cast<std::int64_t>(delay));
  // A timer without a delay runs in the next turn, whatever the time, and so tells nothing of it.
  const auto now = steady_clock::now();
  return timers_.set(delay == 0 ? now : engine_.clock().step_after(now + duration),
                     repeat ? std::optional<steady_clock::duration>(duration) : std::nullopt,
                     LaterAction{v8::Global<v8::Function>(isolate_, callback), current_call()});
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

}  // namespace holdfast::worker
