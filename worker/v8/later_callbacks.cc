#include "worker/v8/later_callbacks.h"

#include <utility>

namespace holdfast::worker {

LaterCallback LaterCallbacks::later(v8::Local<v8::Function> callback) const {
  return {v8::Global<v8::Function>(engine_.isolate(), callback), engine_.current_call()};
}

std::uint32_t LaterCallbacks::set_timer(v8::Local<v8::Function> callback, double delay_millis, TimerKind kind) {
  const auto delay = timer_delay(delay_millis, kind);
  // A timer without a delay runs in the next turn, whatever the time, and so tells nothing of it.
  const auto now = std::chrono::steady_clock::now();
  return timers_.set(
      delay.count() == 0 ? now : engine_.clock().step_after(now + delay),
      kind == TimerKind::repeating ? std::optional<std::chrono::steady_clock::duration>(delay) : std::nullopt,
      later(callback));
}

std::optional<LaterCallback> LaterCallbacks::take_timer(std::uint32_t id, TimePoint now) {
  const auto copy = [this](const LaterCallback& later) {
    return LaterCallback{v8::Global<v8::Function>(engine_.isolate(), later.function), later.call};
  };
  const auto align = [this](TimePoint due) { return engine_.clock().step_after(due); };
  return timers_.take(id, now, copy, align);
}

void LaterCallbacks::add_microtask(v8::Local<v8::Function> callback) { microtasks_.push_back(later(callback)); }

std::optional<LaterCallback> LaterCallbacks::take_microtask() {
  if (microtasks_.empty()) return std::nullopt;
  LaterCallback first = std::move(microtasks_.front());
  microtasks_.pop_front();
  return first;
}

}  // namespace holdfast::worker
