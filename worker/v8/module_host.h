// One module in the engine: starts its calls, runs what waits between them, and turns results into answers. Loading is
// ModuleLoading's duty, what is called later LaterCallbacks'. All methods must be called on the process's only thread.
// Those that enter JavaScript mark the stretch on the shared page.
//
// The module is hostile. Whatever it does to its globals, its values or its errors ends in an answer to its own
// calls, never in an exception or an abort here.
#pragma once

#include <v8.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "worker/channel/cancellations.h"
#include "worker/channel/line.h"
#include "worker/channel/log_lines.h"
#include "worker/channel/outbox.h"
#include "worker/channel/run_times.h"
#include "worker/channel/stretch.h"
#include "worker/channel/turn_owner.h"
#include "worker/plain/turns.h"
#include "worker/v8/engine.h"
#include "worker/v8/later_callbacks.h"
#include "worker/v8/module_loading.h"
#include "worker/v8/payloads.h"

namespace holdfast::worker {

class ModuleHost {
 public:
  // None of these is owned; all must outlive the host. At most one host exists at a time. Calls whose number has
  // SharedPage::kLineBit set are answered on `line`, which may be null if there are none.
  ModuleHost(Engine& engine, Outbox& outbox, Line* line, ipc::SharedPage& page);
  ~ModuleHost();
  ModuleHost(const ModuleHost&) = delete;
  ModuleHost& operator=(const ModuleHost&) = delete;

  // Makes V8 report rejected promises and uncaught errors to the host that the isolate has at that time. Call it once
  // for each isolate.
  static void listen_to(v8::Isolate* isolate);

  // As ModuleLoading::load().
  LoadState load(const ipc::LoadRequest& request);
  // Must be called after each turn while the load is pending (ModuleLoading::follow()).
  LoadState follow_load(std::chrono::steady_clock::time_point now);
  bool is_loading() const { return loading_.is_loading(); }

  // Starts one call, after load() succeeded. Writes the answer now, or when the call's promise settles. A call whose
  // deadline has passed is not run but answered `deadline_exceeded`.
  void start(const ipc::WorkerCall& call);

  // Answers `cancelled` to a call that was not started and will not be.
  void spare(std::uint64_t id);

  // The client no longer waits for the call's answer. An open call is answered `cancelled`: at once if it does not
  // stream and its signal was not taken; otherwise its signal is aborted, and it is answered when it settles, or by
  // let_go().
  void cancel(std::uint64_t id, ipc::CancelReason reason);

  // Lets `bytes` more of the call's stream be sent.
  void grant(std::uint64_t id, std::uint64_t bytes);

  // Answers the calls that were told of their cancellation longer than ipc::kCancelGrace ago and have not settled.
  void let_go(std::chrono::steady_clock::time_point now);

  // Must be called when a step ends. Charges the time up to `now` to the call that was entered last. Returns whether
  // that was a call of the direct line.
  bool end_step(std::chrono::steady_clock::time_point now);

  // Whether a result is being encoded. V8 may then work for long without a function of the module on the stack.
  bool is_encoding() const { return is_encoding_; }

  // The number of calls that are started and not answered.
  std::size_t open_calls() const { return open_.size(); }
  std::uint64_t max_payload_bytes() const { return payloads_.rules().max_bytes; }

  // The number of queued tasks: messages of channels, aborts after cancel(), streams to resume after grant(), the
  // timers of queue_due_timers(), and failures to report.
  std::size_t queued_tasks() const { return turns_.size(); }

  // Queues the timers that are due at `now`.
  void queue_due_timers(std::chrono::steady_clock::time_point now);

  // Runs the next queued task. The queue is fair between clients (worker/plain/turns.h). Does nothing if it is empty.
  void run_task();

  // Runs the tasks that V8 has put off, finalizers above all.
  void run_pending_tasks();

  // When run_task(), queue_due_timers(), let_go() or follow_load() next has something to do. Nothing: they have nothing
  // to do until a further event comes.
  std::optional<std::chrono::steady_clock::time_point> next_turn() const;

  // The module: its text, its exports, what it is called.
  ModuleLoading& loading() { return loading_; }
  const ModuleLoading& loading() const { return loading_; }

  // --- for the runtime's native functions ---
  // The promise of an open call has settled with this value.
  enum class Settled { fulfilled, rejected };
  void settle(std::uint64_t id, Settled how, v8::Local<v8::Value> value);
  // The call's result is a stream from now on. `stop` is called when no further chunks are wanted.
  void open_stream(std::uint64_t id, v8::Local<v8::Function> stop);
  // Sends the value as a chunk of the call's stream. Returns what became of it, and whether another may be sent.
  enum class ChunkFate : std::int32_t { sent, sent_and_window_is_full, unwanted };
  ChunkFate send_chunk(std::uint64_t id, v8::Local<v8::Value> value);
  // Calls `resume` once, when there is room for another chunk.
  void when_granted(std::uint64_t id, v8::Local<v8::Function> resume);
  void log(ipc::LogLevel level, std::string_view text);
  // The timers that the module has set.
  LaterCallbacks& later() { return later_; }
  void enqueue_microtask(v8::Local<v8::Function> callback);
  TurnOwner current_turn_owner() const { return turn_owner_of(engine_.current_call()); }
  // Queues a message of this owner; it runs as part of `call`.
  void queue_message(TurnOwner owner, std::uint64_t call);
  // If the call is open, `signal` is aborted when it is cancelled. Returns the reason if it was cancelled already.
  std::optional<ipc::CancelReason> take_signal(std::uint64_t call, v8::Local<v8::Object> signal);
  // What Date.now() returns at this time of CLOCK_MONOTONIC, in milliseconds; infinity for infinity.
  double clock_at(double monotonic_millis) const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A call that was started and is not answered.
  struct OpenCall {
    WantedEncoding wanted = {};
    std::int64_t window_bytes = 0;  // of the stream that may be sent now; negative if the last chunk went beyond
    bool takes_stream = false;
    std::optional<ipc::CancelReason> cancelled;
    bool aborted = false;            // its signal or its stream was told of that
    bool resumes = false;            // a task to resume it is in turns_
    std::chrono::nanoseconds run{};  // time at work since the last report, without this stretch
    v8::Global<v8::Object> signal;   // empty: it was not taken
    // Set once it streams.
    v8::Global<v8::Function> stop;
    v8::Global<v8::Function> resume;
  };
  // A task that runs between calls: a message of the module's own, which stays on V8's heap until then; an abort or a
  // resumption of a call, as the supervisor asked; a timer; or failures of an owner that are left to be reported.
  struct Task {
    enum class Kind { message, abort, resume, timer, failures } kind;
    std::uint64_t call;
    std::uint32_t id = 0;  // of a message and of failures: the owner; of a timer: which
  };
  struct Rejection {
    v8::Global<v8::Promise> promise;
    v8::Global<v8::Value> reason;
    std::uint64_t call;
  };
  struct ReportedPromise {
    v8::Global<v8::Promise> promise;
    std::uint64_t call;  // that rejected it
  };

  // Failures of one owner's calls that are not reported yet.
  struct Failures {
    std::vector<std::pair<std::uint64_t, ipc::Error>> uncaught;  // with the call to fail if it is still open
    std::vector<Rejection> rejections;                           // without a handler so far
    std::vector<ReportedPromise> handled_late;
    bool is_queued = false;  // in turns_

    bool empty() const { return uncaught.empty() && rejections.empty() && handled_late.empty(); }
    std::uint64_t first_call() const;
  };

  // Numbered as in failures.js.
  enum class Uncaught : std::int32_t { unhandled_rejection, rejection_handled, error };

  static void on_promise_reject(v8::PromiseRejectMessage message);
  static void run_microtask(void* isolate);
  static void on_uncaught(v8::Local<v8::Message> message, v8::Local<v8::Value> thrown);

  void invoke(const ipc::WorkerCall& call);
  void queue(Task::Kind kind, std::uint64_t call);
  void run_message(TurnOwner owner);
  void run_timer(const v8::Global<v8::Function>& callback);
  void abort(std::uint64_t call);
  void resume(std::uint64_t call);
  v8::Local<v8::Value> make_context(const ipc::WorkerCall& call);
  void run_microtasks(std::uint64_t call);
  void report_failures(TurnOwner owner);
  void queue_left_failures();
  void report_rejections(std::vector<Rejection> rejections);
  void report_late_handlers(const std::vector<ReportedPromise>& handled_late);
  void remember_unhandled(const v8::Local<v8::Promise>& promise, std::uint64_t call);
  // Whether a listener of the module's own prevented the default action.
  bool is_taken(Uncaught what, v8::Local<v8::Value> value, v8::Local<v8::Value> subject);
  // What the caller of a function is told about the value that was thrown.
  struct Thrown {
    std::string message;
    std::string stack;
    std::string properties;
  };
  static ipc::Error exception(Thrown thrown);
  // Logs the description of the value, and returns it.
  Thrown log_uncaught(const char* where, v8::Local<v8::Value> thrown);
  // Logs a value that was thrown where nothing could catch it, unless a listener takes it. Then fails the current
  // call, if that is still open after this turn's microtasks.
  void report_uncaught(const char* where, v8::Local<v8::Value> thrown, v8::Local<v8::Message> place);
  void fail_call(std::uint64_t id, ipc::Error error);

  void answer_value(std::uint64_t id, v8::Local<v8::Value> value);
  // Calls Payloads::express(), with is_encoding_ set meanwhile.
  tl::expected<void, NotExpressed> express(v8::Local<v8::Value> value, WantedEncoding wanted,
                                           const Payloads::Take& take);
  // The value's [Symbol.asyncIterator]. Empty if it has none, or if its getter threw, which answers the call.
  v8::MaybeLocal<v8::Function> async_iterator_of(std::uint64_t id, v8::Local<v8::Value> value);
  void start_stream(std::uint64_t id, v8::Local<v8::Value> iterable, v8::Local<v8::Function> open);
  void answer_unserializable(std::uint64_t id, NotExpressed reason);
  void answer_exception(std::uint64_t id, v8::Local<v8::Value> thrown);
  void answer_not_exported(const ipc::WorkerCall& call);
  void answer_error(std::uint64_t id, ipc::Error error);
  void send_result(std::uint64_t id, const ipc::ResultView& result);
  Stretch enter(std::uint64_t call, TimePoint now = std::chrono::steady_clock::now());
  void charge_up_to(TimePoint now);
  std::chrono::nanoseconds run_time_of(std::uint64_t id);
  void answer_cancelled(std::uint64_t id);

  // Describes a value as errors.js does.
  Thrown describe(v8::Local<v8::Value> thrown);

  Engine& engine_;
  v8::Isolate* const isolate_;
  Outbox& outbox_;
  Line* const line_;
  ipc::SharedPage& page_;

  ModuleLoading loading_;
  LaterCallbacks later_;
  Payloads payloads_;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  Cancellations cancellations_;
  Turns<Task> turns_;
  TimePoint turn_began_{};
  std::unordered_map<TurnOwner, Failures> failures_;
  // Promises whose rejection was reported, until they are collected or are handled after all.
  std::vector<ReportedPromise> reported_;
  LogLines log_lines_;
  RunTimes run_times_;
  bool is_encoding_ = false;
};

}  // namespace holdfast::worker
