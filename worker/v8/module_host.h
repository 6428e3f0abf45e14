// One module in the engine: loads it, starts its calls, and turns their results into answers. All methods must be
// called on the process's only thread. Those that enter JavaScript mark the stretch on the shared page.
//
// The module is hostile. Whatever it does to its globals, its values or its errors ends in an answer to its own
// calls, never in an exception or an abort here.
#pragma once

#include <v8.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "worker/v8/engine.h"
#include "worker/channel/line.h"
#include "worker/channel/outbox.h"
#include "worker/v8/payloads.h"
#include "worker/plain/source_map.h"
#include "worker/channel/stretch.h"
#include "worker/plain/timers.h"
#include "worker/plain/turns.h"

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

  // Compiles the module and runs its top level. At the end of that, writes `loaded` or `loadFailed` to the outbox.
  // Returns `pending` if the top level awaits something.
  enum class LoadState { pending, loaded, failed };
  LoadState load(const ipc::LoadRequest& request);

  // Must be called after each turn while the load is pending. Ends the load if the top-level await has settled, can
  // never settle, or has taken too long.
  LoadState follow_load(std::chrono::steady_clock::time_point now);
  bool is_loading() const { return !evaluation_.IsEmpty(); }

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
  std::uint64_t max_payload_bytes() const { return max_payload_bytes_; }

  // The number of queued tasks: messages of channels, aborts after cancel(), streams to resume after grant(), the
  // timers of queue_due_timers(), and failures to report.
  std::size_t queued_tasks() const { return turns_.size(); }

  // Queues the timers that are due at `now`.
  void queue_due_timers(std::chrono::steady_clock::time_point now);

  // Runs the next queued task. The queue is fair between clients (worker/plain/turns.h). Does nothing if it is empty.
  void run_task();

  // Runs the tasks that V8 has put off, finalizers above all.
  void run_pending_tasks();

  // When run_task(), queue_due_timers(), let_go() or follow_load() next has something to do; nothing if only after a
  // further event.
  std::optional<std::chrono::steady_clock::time_point> next_turn() const;

  // The call to which the running JavaScript belongs, across awaits and timers; 0 if none.
  std::uint64_t current_call() const;

  // --- for the runtime's native functions ---
  void settle(std::uint64_t id, bool fulfilled, v8::Local<v8::Value> value);
  // The call's result is a stream from now on. `stop` is called when no further chunks are wanted.
  void open_stream(std::uint64_t id, v8::Local<v8::Function> stop);
  // Sends the value as a chunk of the call's stream. Returns what became of it, and whether another may be sent.
  enum class ChunkFate : std::int32_t { sent, sent_and_window_is_full, unwanted };
  ChunkFate send_chunk(std::uint64_t id, v8::Local<v8::Value> value);
  // Calls `resume` once, when there is room for another chunk.
  void when_granted(std::uint64_t id, v8::Local<v8::Function> resume);
  void log(ipc::LogLevel level, std::string_view text);
  std::uint32_t set_timer(v8::Local<v8::Function> callback, double delay_millis, bool repeat);
  void clear_timer(std::uint32_t id) { timers_.clear(id); }
  void enqueue_microtask(v8::Local<v8::Function> callback);
  // An owner of queued tasks: a caller's number, or one of two numbers beyond those (turn_owner_of()).
  using TurnOwner = std::uint32_t;
  TurnOwner current_turn_owner() const { return turn_owner_of(current_call()); }
  // Queues a message of this owner; it runs as part of `call`.
  void queue_message(TurnOwner owner, std::uint64_t call);
  // If the call is open, `signal` is aborted when it is cancelled. Returns the reason if it was cancelled already.
  std::optional<ipc::CancelReason> take_signal(std::uint64_t call, v8::Local<v8::Object> signal);
  // What Date.now() returns at this time of CLOCK_MONOTONIC, in milliseconds; infinity for infinity.
  double clock_at(double monotonic_millis) const;
  // What Date.now() returned when the module was loaded.
  double time_origin() const { return time_origin_; }
  std::string_view file_name() const { return file_name_; }
  // The original place of a place in the script of this name, by the module's source map. Nothing if that script is
  // not the module, if there is no map, or if the map does not know the place.
  std::optional<SourceMap::Place> original_place(v8::Local<v8::Value> script, double line, double column);
  // The original name of the function that is called `name` and begins at this place in the module's text; "" if
  // unknown.
  std::string original_function_name(v8::Local<v8::String> name, double line, double column);
  std::optional<std::string> original_line(v8::Local<v8::Value> source, double line);
  // The module's text, if the script of this name is the module, and it is being loaded or has a source map.
  // Otherwise "".
  v8::Local<v8::String> source_text(v8::Local<v8::Value> script);

  // original_place() for the fatal report, which has little time. Also returns nothing if decoding the source map
  // would take more than a moment.
  std::optional<SourceMap::Place> original_place_at_once(std::string_view script, int line, int column);

  // For the fatal report: where the code is in each frame of the stack, and where that frame's function begins. Runs
  // JavaScript of the runtime but none of the module's. Changes what the module's errors say, so that the process
  // must end. Empty if there is no source map that original_place_at_once() would use, or if the stack cannot be
  // taken.
  struct FunctionPlace {
    int line, column, begin_line, begin_column;
  };
  std::vector<FunctionPlace> function_places();

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
  // A function to call later, and the call that it belongs to.
  struct LaterAction {
    v8::Global<v8::Function> callback;
    std::uint64_t call;
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

  static v8::MaybeLocal<v8::Value> prepare_stack_trace(v8::Local<v8::Context> context, v8::Local<v8::Value> error,
                                                       v8::Local<v8::Array> sites);
  static void on_promise_reject(v8::PromiseRejectMessage message);
  static void run_microtask(void* isolate);
  static void on_uncaught(v8::Local<v8::Message> message, v8::Local<v8::Value> thrown);

  v8::Local<v8::String> take_source_map(const ipc::LoadRequest& request);
  LoadState run_common_js(v8::Local<v8::Function> body, v8::Local<v8::String> file_name);
  LoadState run_es_module(v8::Local<v8::Module> module);
  LoadState take_exports(v8::Local<v8::Value> exports);
  // Whether a script of this name is the module's text.
  bool is_module_file(v8::Local<v8::Value> script);
  bool can_map_at_once() const;
  // Where the line begins in source_; nothing: there is no such line.
  std::optional<std::uint32_t> line_start(std::uint32_t line);

  void invoke(const ipc::WorkerCall& call);
  static TurnOwner turn_owner_of(std::uint64_t call);
  void queue(Task::Kind kind, std::uint64_t call);
  void run_message(TurnOwner owner);
  void run_timer(const v8::Global<v8::Function>& callback);
  void abort(std::uint64_t call);
  void remember_cancelled(std::uint64_t id, ipc::CancelReason reason);
  void resume(std::uint64_t call);
  void set_current_call(std::uint64_t id);
  // A function, and the receiver to call it on.
  struct Exported {
    v8::Local<v8::Value> receiver;
    v8::Local<v8::Function> function;
  };
  std::optional<Exported> find_function(std::string_view name);
  std::optional<v8::Local<v8::Object>> default_export();
  bool is_class(v8::Local<v8::Function> function);
  v8::Local<v8::Value> make_context(const ipc::WorkerCall& call);
  void set_environment(const ipc::LoadRequest& request);
  void tell_of_dropped_lines();
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
  void count_up_to(TimePoint now);
  void count(std::uint64_t call, std::chrono::nanoseconds time);
  std::chrono::nanoseconds run_time_of(std::uint64_t id);
  void answer_cancelled(std::uint64_t id);
  LoadState load_failed(ipc::Error error);
  LoadState load_failed(std::string message) {
    return load_failed(make_error(ipc::ErrorCode::load_failed, std::move(message)));
  }
  LoadState load_threw(const v8::TryCatch& failure);
  // `place` may be empty.
  LoadState load_threw(v8::Local<v8::Value> thrown, v8::Local<v8::Message> place, const char* prefix = "");
  LoadState load_threw_at(v8::Local<v8::Value> thrown, v8::Local<v8::Value> file, int line, int column,
                          v8::Local<v8::Value> code, const char* prefix = "");

  // Describes a value as errors.js does.
  Thrown describe(v8::Local<v8::Value> thrown);
  std::string to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes);

  Engine& engine_;
  v8::Isolate* const isolate_;
  Outbox& outbox_;
  Line* const line_;
  ipc::SharedPage& page_;

  std::string module_;
  std::string version_;
  Payloads payloads_;
  std::uint64_t max_payload_bytes_ = 0;
  std::uint64_t tag_ = 0;
  std::string file_name_;
  // The module's text, which V8 keeps anyway; held while the module is loaded, and afterwards if there is a source
  // map.
  v8::Global<v8::String> source_;
  v8::Global<v8::Promise> evaluation_;  // of a top level that awaits; empty once it has settled
  v8::Global<v8::Module> es_module_;
  TimePoint load_deadline_{};
  std::optional<SourceMap> source_map_;
  std::vector<std::uint32_t> line_starts_;  // in source_; empty: not needed yet

  v8::Global<v8::Object> exports_;
  bool is_es_module_ = false;  // exports_ is a namespace
  v8::Global<v8::String> module_name_;
  v8::Global<v8::String> version_name_;
  double time_origin_ = 0;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  // Calls that were told of their cancellation, in the order in which their grace ends. Some may be answered.
  std::deque<std::pair<TimePoint, std::uint64_t>> graces_;
  // The latest calls that were cancelled before their signal was taken.
  std::deque<std::pair<std::uint64_t, ipc::CancelReason>> cancelled_;
  Timers<LaterAction> timers_;
  Turns<Task> turns_;
  TimePoint turn_began_{};
  // Callbacks of queueMicrotask(), in the order in which V8 runs them. V8 itself keeps the call only for promises'
  // microtasks.
  std::deque<LaterAction> microtasks_;
  std::unordered_map<TurnOwner, Failures> failures_;
  // Promises whose rejection was reported, until they are collected or are handled after all.
  std::vector<ReportedPromise> reported_;
  std::uint64_t log_lines_dropped_ = 0;  // since the last one that was sent
  bool is_encoding_ = false;
  // The call of this step's latest stretch, and since when its time is not charged yet: since the stretch began, or
  // since the call was answered.
  struct Uncounted {
    std::uint64_t call;
    TimePoint since;
  };
  std::optional<Uncounted> uncounted_;
  bool was_lines_ = false;  // this step's last stretch was for a call of the direct line
  std::chrono::nanoseconds unclaimed_time_{};
  // By caller (SharedPage::caller_of()): time at work on what the caller's answered calls left behind, since the last
  // report.
  std::unordered_map<std::uint32_t, std::chrono::nanoseconds> left_run_;
};

}  // namespace holdfast::worker
