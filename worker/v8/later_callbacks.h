// The functions that a module asked to have called later: timers, and callbacks of queueMicrotask(). Each belongs to
// the call that was running when the module asked. Knows nothing of turns: who owns this decides when which is called.
#pragma once

#include <v8.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "worker/plain/timer_delay.h"
#include "worker/plain/timers.h"
#include "worker/v8/engine.h"

namespace holdfast::worker {

// A function to call later, and the call that it belongs to; 0: none.
struct LaterCallback {
  v8::Global<v8::Function> function;
  std::uint64_t call;
};

class LaterCallbacks {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `engine` must outlive this object.
  explicit LaterCallbacks(Engine& engine) : engine_(engine) {}

  // --- timers
  // Sets a timer of the running call and returns its id, as Timers::set(). The delay may be any number (timer_delay()).
  std::uint32_t set_timer(v8::Local<v8::Function> callback, double delay_millis, TimerKind kind);
  // An id that is not set is ignored.
  void clear_timer(std::uint32_t id) { timers_.clear(id); }
  std::size_t timers() const { return timers_.size(); }
  // When the earliest timer is due that take_due_timers() has not passed on; nothing if there is none.
  std::optional<TimePoint> next_due() const { return timers_.next_due(); }
  // Calls use(id, call) for each timer that is due at `now`, once; then it waits for take_timer().
  template <typename Use>
  void take_due_timers(TimePoint now, Use use) {
    while (const auto due = timers_.next_due_at(now)) use(due->first, due->second->call);
  }
  // What that timer calls, in the turn that began at `now`; nothing if it was cleared since. A repeating timer is set
  // again.
  std::optional<LaterCallback> take_timer(std::uint32_t id, TimePoint now);

  // --- microtasks
  // V8 itself keeps the call only for promises' microtasks. For each callback, the caller must have V8 run a microtask
  // that calls take_microtask().
  void add_microtask(v8::Local<v8::Function> callback);
  // The callbacks, in their order; nothing if there is none.
  std::optional<LaterCallback> take_microtask();

 private:
  LaterCallback later(v8::Local<v8::Function> callback) const;

  Engine& engine_;
  Timers<LaterCallback> timers_;
  std::deque<LaterCallback> microtasks_;
};

}  // namespace holdfast::worker
