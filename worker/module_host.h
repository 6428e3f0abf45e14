// One module in the engine: loads it, starts its calls, and turns what they come to into answers. Lives on the
// process's one thread; every method that enters JavaScript marks the stretch on the shared page.
//
// The module is hostile: whatever it does to its globals, its values or its errors ends in an answer for its own
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
#include "worker/engine.h"
#include "worker/line.h"
#include "worker/outbox.h"
#include "worker/payloads.h"
#include "worker/source_map.h"
#include "worker/stretch.h"
#include "worker/timers.h"
#include "worker/turns.h"

namespace holdfast::worker {

class ModuleHost {
 public:
  // None of these is owned; all must outlive the host. At most one host exists at a time. Calls whose number says so
  // (SharedPage::kLineBit) are answered on `line`, which may be null.
  ModuleHost(Engine& engine, Outbox& outbox, Line* line, ipc::SharedPage& page);
  ~ModuleHost();
  ModuleHost(const ModuleHost&) = delete;
  ModuleHost& operator=(const ModuleHost&) = delete;

  // What V8 tells of rejected promises and uncaught errors goes to the host that the isolate has by then. Once for each
  // isolate.
  static void listen_to(v8::Isolate* isolate);

  // Compiles the module and runs its top level. Once it is at its end, `loaded` or `loadFailed` is written.
  enum class LoadState { pending, loaded, failed };
  LoadState load(const ipc::LoadRequest& request);

  // To be called after each turn while load() is pending: a top-level await has settled, or never will, or took too
  // long.
  LoadState follow_load(std::chrono::steady_clock::time_point now);
  bool is_loading() const { return !evaluation_.IsEmpty(); }

  // Starts one call, after load() succeeded. Its answer is written now, or when its promise settles. A call whose
  // deadline has passed is not run, and answered `deadline_exceeded`.
  void start(const ipc::WorkerCall& call);

  // Answers a call `cancelled` that was not started, and will not be.
  void spare(std::uint64_t id);

  // Nobody waits for the call's answer any more. If it is open, it is answered `cancelled`: at once where nobody took
  // its signal, else once it has settled, after its signal was aborted, or by let_go().
  void cancel(std::uint64_t id, ipc::CancelReason reason);

  // So much more of the call's stream may be sent.
  void grant(std::uint64_t id, std::uint64_t bytes);

  // Answers the calls that were cancelled longer than ipc::kCancelGrace ago and have not settled.
  void let_go(std::chrono::steady_clock::time_point now);

  // Up to now, the time of what entered last counts as its call's. To be called when a step ends. True: it was a call
  // of the direct line.
  bool end_step(std::chrono::steady_clock::time_point now);

  // Whether a result is being encoded: V8 may then be at work for long without a function of the module.
  bool is_encoding() const { return is_encoding_; }

  // Calls that were started and are not answered.
  std::size_t open_calls() const { return open_.size(); }
  std::uint64_t max_payload_bytes() const { return max_payload_bytes_; }

  // What waits for a turn: messages of channels, what was said of calls by cancel() and grant(), the timers of
  // queue_due_timers(), and failures that are to be reported.
  std::size_t queued_tasks() const { return turns_.size(); }

  // Queues the timers that are due at `now`.
  void queue_due_timers(std::chrono::steady_clock::time_point now);

  // Runs the next task in the queue, in which clients take turns. Does nothing if the queue is empty.
  void run_task();

  // Runs what V8 has put off: finalizers, above all.
  void run_pending_tasks();

  // When run_task(), queue_due_timers() or let_go() has something to do; nothing: only after a further event.
  std::optional<std::chrono::steady_clock::time_point> next_turn() const;

  // The call to which the JavaScript that runs now belongs, across awaits and timers; 0: none.
  std::uint64_t current_call() const;

  // --- for the runtime's native functions ---
  void settle(std::uint64_t id, bool fulfilled, v8::Local<v8::Value> value);
  // The call's result comes in parts from now on. `stop` is run when no more are wanted.
  void open_stream(std::uint64_t id, v8::Local<v8::Function> stop);
  // What becomes of the value as a chunk of the call's stream, and whether there may be another.
  enum class ChunkFate : std::int32_t { sent, sent_and_window_is_full, unwanted };
  ChunkFate send_chunk(std::uint64_t id, v8::Local<v8::Value> value);
  // `resume` is run once when there is room for another chunk.
  void when_granted(std::uint64_t id, v8::Local<v8::Function> resume);
  void log(ipc::LogLevel level, std::string_view text);
  std::uint32_t set_timer(v8::Local<v8::Function> callback, double delay_millis, bool repeat);
  void clear_timer(std::uint32_t id) { timers_.clear(id); }
  void enqueue_microtask(v8::Local<v8::Function> callback);
  // Owner of tasks in the queue: a caller's number, or one of two numbers beyond those (turn_owner_of()).
  using TurnOwner = std::uint32_t;
  TurnOwner current_turn_owner() const { return turn_owner_of(current_call()); }
  // Queues a message of this owner; it runs as part of `call`.
  void queue_message(TurnOwner owner, std::uint64_t call);
  // `signal` is to be aborted when the call is cancelled, if it is open; the reason if it was cancelled already.
  std::optional<ipc::CancelReason> take_signal(std::uint64_t call, v8::Local<v8::Object> signal);
  // What Date.now() will say at this time of CLOCK_MONOTONIC; infinity for itself.
  double clock_at(double monotonic_millis) const;
  // What Date.now() said when the module was loaded.
  double time_origin() const { return time_origin_; }
  std::string_view file_name() const { return file_name_; }
  // What the module's source map says of a place in the script of this name; nothing: it has none, or that knows none.
  std::optional<SourceMap::Place> original_place(v8::Local<v8::Value> script, double line, double column);
  // What the function of this name, which begins there in the module's text, is called where it was written; or "".
  std::string original_function_name(v8::Local<v8::String> name, double line, double column);
  std::optional<std::string> original_line(v8::Local<v8::Value> source, double line);
  // The module's text, if the script of this name is it, while it is being loaded or where it has a source map; or "".
  v8::Local<v8::String> source_text(v8::Local<v8::Value> script);

  // The same for the last words, which have little time: nothing, too, where it would take more than a moment.
  std::optional<SourceMap::Place> original_place_at_once(std::string_view script, int line, int column);

  // Where the code is in each frame of the stack, and where that frame's function begins. Runs JavaScript of the
  // runtime, none of the module, and changes what errors of the module say: for the last words. Empty where there is
  // no source map that original_place_at_once() would ask, or where the stack cannot be taken so.
  struct FunctionPlace {
    int line, column, begin_line, begin_column;
  };
  std::vector<FunctionPlace> function_places();

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A call that was started and is not answered.
  struct OpenCall {
    WantedEncoding wanted = {};
    std::int64_t window_bytes = 0;  // of a stream that may be sent now; the last chunk may have gone beyond
    bool takes_stream = false;
    std::optional<ipc::CancelReason> cancelled;
    bool aborted = false;            // its functions have heard of that
    bool resumes = false;            // it is in turns_ for that
    std::chrono::nanoseconds run{};  // for how long it was at work since that was told, but for this stretch
    v8::Global<v8::Object> signal;   // empty: nobody took it
    // Once it streams.
    v8::Global<v8::Function> stop;
    v8::Global<v8::Function> resume;
  };
  // What is called later, and for which call.
  struct LaterAction {
    v8::Global<v8::Function> callback;
    std::uint64_t call;
  };
  // What has its turn between calls: a message of the module's own, which stays on V8's heap until then; what the
  // supervisor said of a call that has JavaScript for it; a timer; or an owner's failures that were left over.
  struct Task {
    enum class Kind { message, abort, resume, timer, failures } kind;
    std::uint64_t call;
    std::uint32_t id = 0;  // of a message: its owner; of a timer: which
  };
  struct Rejection {
    v8::Global<v8::Promise> promise;
    v8::Global<v8::Value> reason;
    std::uint64_t call;
  };
  struct ReportedPromise {
    v8::Global<v8::Promise> promise;
    std::uint64_t call;  // which rejected it
  };

  // Failures of one owner's calls that are not reported yet.
  struct Failures {
    std::vector<std::pair<std::uint64_t, ipc::Error>> uncaught;  // with the call that is to fail, if it is still open
    std::vector<Rejection> rejections;                           // without a handler so far
    std::vector<ReportedPromise> handled_late;
    bool is_queued = false;  // in turns_

    bool empty() const { return uncaught.empty() && rejections.empty() && handled_late.empty(); }
    std::uint64_t first_call() const;
  };

  // Numbers of failures.js.
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
  // What a function is called on, and the function.
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
  // Whether a listener of the module's own took it.
  bool is_taken(Uncaught what, v8::Local<v8::Value> value, v8::Local<v8::Value> subject);
  // What was thrown, for its caller: see describe_error in engine.h.
  struct Thrown {
    std::string message;
    std::string stack;
    std::string properties;
  };
  static ipc::Error exception(Thrown thrown);
  // Returns what describe() says of it.
  Thrown log_uncaught(const char* where, v8::Local<v8::Value> thrown);
  // Logs what the call, or nobody, threw where nothing could catch it, and fails the call if it is still open once this
  // turn's microtasks have run.
  void report_uncaught(const char* where, v8::Local<v8::Value> thrown, v8::Local<v8::Message> place);
  void fail_call(std::uint64_t id, ipc::Error error);

  void answer_value(std::uint64_t id, v8::Local<v8::Value> value);
  // Payloads::express(), noted in is_encoding_.
  tl::expected<void, NotExpressed> express(v8::Local<v8::Value> value, WantedEncoding wanted,
                                           const Payloads::Take& take);
  // The value's [Symbol.asyncIterator]; empty: it has none, or it threw and that was the answer.
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

  // In the words of errors.js.
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
  // While it is loaded, and after that where there is a source map: its text, which V8 keeps anyway.
  v8::Global<v8::String> source_;
  v8::Global<v8::Promise> evaluation_;  // what a top level comes to that awaits; empty: it did
  v8::Global<v8::Module> es_module_;
  TimePoint load_deadline_{};
  std::optional<SourceMap> source_map_;
  std::vector<std::uint32_t> line_starts_;  // in source_; empty: nobody asked yet

  v8::Global<v8::Object> exports_;
  bool is_es_module_ = false;  // exports_ is a namespace
  v8::Global<v8::String> module_name_;
  v8::Global<v8::String> version_name_;
  double time_origin_ = 0;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  // Cancelled calls, in the order in which their grace ends; answered ones among them.
  std::deque<std::pair<TimePoint, std::uint64_t>> graces_;
  // Calls that were cancelled before anybody took their signal: the last ones.
  std::deque<std::pair<std::uint64_t, ipc::CancelReason>> cancelled_;
  Timers<LaterAction> timers_;
  Turns<Task> turns_;
  TimePoint turn_began_{};
  // Of queueMicrotask(), in the order in which V8 runs them; V8 itself keeps the call only for those of promises.
  std::deque<LaterAction> microtasks_;
  std::unordered_map<TurnOwner, Failures> failures_;
  // Promises whose rejection was reported, until they are gone or are handled after all.
  std::vector<ReportedPromise> reported_;
  std::uint64_t log_lines_dropped_ = 0;  // since one was sent
  bool is_encoding_ = false;
  // The stretch of this step whose time was not counted yet, and since when: it began then, or its call was answered.
  struct Uncounted {
    std::uint64_t call;
    TimePoint since;
  };
  std::optional<Uncounted> uncounted_;
  bool was_lines_ = false;  // this step's last stretch was a call's of the direct line
  std::chrono::nanoseconds unclaimed_time_{};
  // By callers (SharedPage::caller_of()): for how long it was at work on what their calls left, since that was told.
  std::unordered_map<std::uint32_t, std::chrono::nanoseconds> left_run_;
};

}  // namespace holdfast::worker
