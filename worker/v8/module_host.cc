#include "worker/v8/module_host.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "worker/v8/fatal_report.h"

namespace holdfast::worker {
namespace {

using std::chrono::steady_clock;

}  // namespace

ModuleHost::ModuleHost(Engine& engine, Outbox& outbox, Line* line, ipc::SharedPage& page)
    : engine_(engine),
      isolate_(engine.isolate()),
      outbox_(outbox),
      line_(line),
      page_(page),
      loading_(engine, outbox, page, [this] { run_microtasks(ipc::SharedPage::kNothing); }),
      later_(engine),
      payloads_(engine,
                [this](v8::Local<v8::Value> thrown) {
                  Thrown described = describe(thrown);
                  return std::pair(std::move(described.message), std::move(described.stack));
                }),
      log_lines_(outbox),
      run_times_(outbox.buffer(), page) {
  engine_.set_host(this);
}

void ModuleHost::listen_to(v8::Isolate* isolate) {
  isolate->SetPromiseRejectCallback(&ModuleHost::on_promise_reject);
  isolate->AddMessageListener(&ModuleHost::on_uncaught);
}

ModuleHost::~ModuleHost() { engine_.set_host(nullptr); }

LoadState ModuleHost::load(const ipc::LoadRequest& request) {
  payloads_.set_rules({request.max_payload_bytes, request.lenient_results});
  return loading_.load(request);
}

LoadState ModuleHost::follow_load(TimePoint now) {
  using WakeUp = LoadDeadline::WakeUp;
  return loading_.follow(now, later_.timers() > 0 || turns_.size() > 0 ? WakeUp::possible : WakeUp::impossible);
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
  engine_.set_current_call(call.id);
  invoke(call);
  run_microtasks(call.id);
}

// Begins a stretch: JavaScript of this call, or of none, is at work from now on.
Stretch ModuleHost::enter(std::uint64_t call, TimePoint now) {
  if (soft_stop_requested()) end_between_stretches();  // the stop is not for the next stretch
  charge_up_to(now);
  run_times_.begin(call, now);
  return Stretch(page_, call, now);
}

bool ModuleHost::end_step(TimePoint now) {
  turns_.took(now - turn_began_);
  charge_up_to(now);
  return run_times_.take_was_lines();
}

void ModuleHost::charge_up_to(TimePoint now) {
  run_times_.charge_up_to(now, [this](std::uint64_t call) {
    const auto open = open_.find(call);
    return open == open_.end() ? nullptr : &open->second.run;
  });
}

// The time to report with the answer of a call, up to now.
std::chrono::nanoseconds ModuleHost::run_time_of(std::uint64_t id) {
  const auto open = open_.find(id);
  return open == open_.end() ? std::chrono::nanoseconds{} : run_times_.at_answer(id, open->second.run);
}

void ModuleHost::invoke(const ipc::WorkerCall& call) {
  v8::Local<v8::Context> context = engine_.context();
  v8::TryCatch failure(isolate_);
  const auto exported = loading_.exports().find(call.function);
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
    if (loading_.exports().is_class(exported->function)) return answer_not_exported(call);
    return answer_exception(call.id, failure.Exception());
  }
  if (!value->IsObject()) return answer_value(call.id, value);
  if (value->IsPromise()) {
    // Marked now, so that a rejection counts as an answer and not as an unhandled one.
    value.As<v8::Promise>()->MarkAsHandled();
    // Promises that are rejected here are reported after the answer, if there is one by then.
    isolate_->PerformMicrotaskCheckpoint();
    engine_.set_current_call(call.id);
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

v8::Local<v8::Value> ModuleHost::make_context(const ipc::WorkerCall& call) {
  const std::string id = ipc::request_id(loading_.tag(), call.id);
  const double deadline = call.deadline == TimePoint{} ? std::numeric_limits<double>::infinity()
                                                       : whole_millis(call.deadline.time_since_epoch());
  v8::Local<v8::Value> parts[] = {v8::Number::New(isolate_, static_cast<double>(call.id)),
                                  v8::Number::New(isolate_, deadline),
                                  engine_.text(id),
                                  loading_.module_name(),
                                  loading_.version_name(),
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
    return cancellations_.remember(id, reason);
  }
  call->second.cancelled = reason;
  queue(Task::Kind::abort, id);
}

void ModuleHost::abort(std::uint64_t id) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;  // it has settled by now
  call->second.aborted = true;
  cancellations_.told(id, steady_clock::now());
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
  while (const auto id = cancellations_.next_to_let_go(now)) {
    const auto call = open_.find(*id);
    if (call == open_.end()) continue;
    cancellations_.remember(*id, *call->second.cancelled);
    answer_cancelled(*id);
  }
}

std::optional<ipc::CancelReason> ModuleHost::take_signal(std::uint64_t id, v8::Local<v8::Object> signal) {
  if (const auto call = open_.find(id); call != open_.end()) {
    if (!call->second.cancelled) call->second.signal.Reset(isolate_, signal);
    return call->second.cancelled;
  }
  return cancellations_.reason_of(id);
}

double ModuleHost::clock_at(double monotonic_millis) const {
  if (std::isinf(monotonic_millis)) return monotonic_millis;
  const auto since_boot = std::chrono::milliseconds(static_cast<std::int64_t>(monotonic_millis));
  return whole_millis(engine_.clock().at(TimePoint(since_boot)));
}

void ModuleHost::settle(std::uint64_t id, Settled how, v8::Local<v8::Value> value) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;  // answered by let_go()
  if (call->second.cancelled) return answer_cancelled(id);
  if (how == Settled::fulfilled) {
    answer_value(id, value);
  } else {
    answer_exception(id, value);
  }
}

// --- what runs between calls ---------------------------------------------------------------------------------------

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
  if (log_lines_.has_dropped()) log_lines_.tell_of_dropped(engine_.current_call());
}

std::optional<ModuleHost::TimePoint> ModuleHost::next_turn() const {
  if (turns_.size() > 0) return TimePoint{};  // at once
  auto next = later_.next_due();
  if (is_loading()) next = std::min(loading_.deadline(), next.value_or(loading_.deadline()));
  if (const auto grace = cancellations_.next_end_of_grace()) next = std::min(*grace, next.value_or(*grace));
  return next;
}

void ModuleHost::queue(Task::Kind kind, std::uint64_t call) { turns_.push(turn_owner_of(call), {kind, call}); }

void ModuleHost::queue_message(TurnOwner owner, std::uint64_t call) {
  turns_.push(owner, {Task::Kind::message, call, owner});
}

// Queues all due timers at once, because only queued ones get their share. A million of them, which fill the memory
// of most modules, take some tenths of a second to queue, about as long as to set.
void ModuleHost::queue_due_timers(TimePoint now) {
  later_.take_due_timers(now, [this](std::uint32_t id, std::uint64_t call) {
    turns_.push(turn_owner_of(call), {Task::Kind::timer, call, id});
  });
}

void ModuleHost::run_task() {
  const auto next = turns_.take();
  if (!next) return;
  turn_began_ = steady_clock::now();
  const Task task = *next;
  std::optional<LaterCallback> timer;
  if (task.kind == Task::Kind::timer) {
    timer = later_.take_timer(task.id, turn_began_);
    if (!timer) return;  // it was cleared
  }
  // A cancelled call of the line has its answer already, so the worker must not be stopped for its deadline.
  const bool is_answered = task.kind == Task::Kind::abort && ipc::SharedPage::is_line_call(task.call);
  const Stretch stretch = enter(is_loading()  ? ipc::SharedPage::kLoading
                                : is_answered ? task.call | ipc::SharedPage::kLineAnsweredBit
                                              : task.call);
  v8::HandleScope scope(isolate_);
  engine_.set_current_call(task.call);
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
      run_timer(timer->function);
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
  later_.add_microtask(callback);
  isolate_->EnqueueMicrotask(&ModuleHost::run_microtask, isolate_);
}

void ModuleHost::run_microtask(void* isolate) {
  ModuleHost* const current = Engine::host_of(static_cast<v8::Isolate*>(isolate));
  if (current == nullptr) return;  // of a module that is gone
  ModuleHost& host = *current;
  v8::HandleScope scope(host.isolate_);
  const auto microtask = host.later_.take_microtask();
  if (!microtask) return;
  host.engine_.set_current_call(microtask->call);
  v8::TryCatch failure(host.isolate_);
  v8::Local<v8::Context> context = host.engine_.context();
  if (microtask->function.Get(host.isolate_)->Call(context, v8::Undefined(host.isolate_), 0, nullptr).IsEmpty()) {
    host.report_uncaught("a microtask", failure.Exception(), failure.Message());
  }
}

void ModuleHost::run_pending_tasks() {
  const Stretch stretch(page_, ipc::SharedPage::kBackground);
  v8::HandleScope scope(isolate_);
  engine_.set_current_call(0);
  engine_.run_pending_tasks();
  run_microtasks(0);
}

void ModuleHost::log(ipc::LogLevel level, std::string_view text) {
  log_lines_.add(level, text, engine_.current_call());
}

}  // namespace holdfast::worker
