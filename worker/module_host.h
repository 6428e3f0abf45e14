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
#include "worker/outbox.h"
#include "worker/timers.h"

namespace holdfast::worker {

class ModuleHost {
 public:
  // None of the three is owned; all must outlive the host. At most one host exists at a time.
  ModuleHost(Engine& engine, Outbox& outbox, ipc::SharedPage& page);
  ~ModuleHost();
  ModuleHost(const ModuleHost&) = delete;
  ModuleHost& operator=(const ModuleHost&) = delete;

  // Compiles the module and runs its top level. Writes `loaded` or `loadFailed`; false means the latter.
  bool load(const ipc::LoadRequest& request);

  // Starts one call, after load() succeeded. Its answer is written now, or when its promise settles. A call whose
  // deadline has passed is not run, and answered `deadline_exceeded`.
  void start(const ipc::WorkerCall& call);

  // Answers a call `cancelled` that was not started, and will not be.
  void spare(std::uint64_t id);

  // Nobody waits for the call's answer any more. If it is open, it is answered `cancelled`: at once where nobody took
  // its signal, else once it has settled, after its signal was aborted, or by let_go().
  void cancel(std::uint64_t id, ipc::CancelReason reason);

  // Answers the calls that were cancelled longer than ipc::kCancelGrace ago and have not settled.
  void let_go(std::chrono::steady_clock::time_point now);

  // Runs the first timer that was due at `now`; false if there is none.
  bool run_due_timer(std::chrono::steady_clock::time_point now);

  // Runs what V8 has put off: finalizers, above all.
  void run_pending_tasks();

  // When run_due_timer() or let_go() has something to do; nothing: only after a further event.
  std::optional<std::chrono::steady_clock::time_point> next_timer() const;

  // The call to which the JavaScript that runs now belongs, across awaits and timers; 0: none.
  std::uint64_t current_call() const;

  // --- for the runtime's native functions ---
  void settle(std::uint64_t id, bool fulfilled, v8::Local<v8::Value> value);
  void log(ipc::LogLevel level, std::string_view text);
  std::uint32_t set_timer(v8::Local<v8::Function> callback, double delay_millis, bool repeat);
  void clear_timer(std::uint32_t id) { timers_.clear(id); }
  // `signal` is to be aborted when the call is cancelled, if it is open; the reason if it was cancelled already.
  std::optional<ipc::CancelReason> take_signal(std::uint64_t call, v8::Local<v8::Object> signal);
  // What Date.now() will say at this time of CLOCK_MONOTONIC; infinity for itself.
  double clock_at(double monotonic_millis) const;
  // What Date.now() said when the module was loaded.
  double time_origin() const { return time_origin_; }

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A call that was started and is not answered.
  struct OpenCall {
    v8::Global<v8::Object> signal;  // empty: nobody took it
    bool cancelled = false;
  };
  struct TimerAction {
    v8::Global<v8::Function> callback;
    std::uint64_t call;
  };
  struct Rejection {
    v8::Global<v8::Promise> promise;
    v8::Global<v8::Value> reason;
    std::uint64_t call;
  };

  static void on_promise_reject(v8::PromiseRejectMessage message);
  static void on_uncaught(v8::Local<v8::Message> message, v8::Local<v8::Value> thrown);

  void invoke(const ipc::WorkerCall& call);
  void set_current_call(std::uint64_t id);
  v8::MaybeLocal<v8::Function> find_function(std::string_view name);
  bool read_arguments(const ipc::WorkerCall& call, std::vector<v8::Local<v8::Value>>& arguments);
  void set_environment(const ipc::LoadRequest& request);
  v8::Local<v8::Value> make_context(const ipc::WorkerCall& call);
  void run_microtasks();
  void report_unhandled_rejections();
  void tell_of_dropped_lines();
  void log_uncaught(const char* where, v8::Local<v8::Value> thrown);

  void answer_value(std::uint64_t id, v8::Local<v8::Value> value);
  void answer_unserializable(std::uint64_t id, v8::Local<v8::Value> value, v8::TryCatch& failure);
  void answer_exception(std::uint64_t id, v8::Local<v8::Value> thrown);
  void answer_error(std::uint64_t id, ipc::Error error);
  void answer_cancelled(std::uint64_t id);
  void load_failed(ipc::Error error);
  void load_threw(const v8::TryCatch& failure);

  // What was thrown as message and stack, in the words of calls.js.
  std::pair<std::string, std::string> describe(v8::Local<v8::Value> thrown);
  std::string to_utf8(v8::Local<v8::Value> value, std::size_t max_bytes);
  std::string exported_names();

  Engine& engine_;
  v8::Isolate* const isolate_;
  Outbox& outbox_;
  ipc::SharedPage& page_;

  std::string module_;
  std::string version_;
  std::uint64_t max_payload_bytes_ = 0;
  std::uint64_t tag_ = 0;
  v8::Global<v8::Object> exports_;
  v8::Global<v8::String> module_name_;
  v8::Global<v8::String> version_name_;
  double time_origin_ = 0;
  std::unordered_map<std::uint64_t, OpenCall> open_;
  // Cancelled calls, in the order in which their grace ends; answered ones among them.
  std::deque<std::pair<TimePoint, std::uint64_t>> graces_;
  // Calls that were cancelled before anybody took their signal: the last ones.
  std::deque<std::pair<std::uint64_t, ipc::CancelReason>> cancelled_;
  Timers<TimerAction> timers_;
  std::uint64_t log_lines_dropped_ = 0;  // since one was sent
  std::vector<Rejection> rejections_;    // of this stretch, without a handler so far
};

}  // namespace holdfast::worker
