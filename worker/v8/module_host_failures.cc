// The module host's uncaught failures: unhandled rejections, and errors that nothing can catch. They are logged with
// the call that began what failed. They fail that call if it is still open, because what it waits for may never come.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "worker/v8/error_place.h"
#include "worker/v8/module_host.h"

namespace holdfast::worker {
namespace {

// Rejections kept for one owner until they are reported. Further ones fail no call and are not logged.
constexpr std::size_t kMaxRejections = 1024;
// Rejections logged at once; more would say nothing new.
constexpr std::size_t kMaxRejectionsLogged = 16;
// How many of the latest reported rejections are remembered, to notice that they are handled after all.
constexpr std::size_t kMaxReported = 64;

}  // namespace

ModuleHost::Thrown ModuleHost::log_uncaught(const char* where, v8::Local<v8::Value> thrown) {
  Thrown described = describe(thrown);
  described.message = fmt::format("uncaught in {}: {}", where, described.message);
  log(ipc::LogLevel::error, fmt::format("{}\n{}", described.message, described.stack));
  return described;
}

void ModuleHost::report_uncaught(const char* where, v8::Local<v8::Value> thrown, v8::Local<v8::Message> place) {
  const std::uint64_t call = engine_.current_call();
  if (is_taken(Uncaught::error, thrown, place_of(isolate_, place))) return;
  engine_.set_current_call(call);
  Thrown described = log_uncaught(where, thrown);
  const auto is_its = [call](const auto& failure) { return failure.first == call; };
  if (!open_.contains(call)) return;
  auto& uncaught = failures_[turn_owner_of(call)].uncaught;
  if (std::ranges::none_of(uncaught, is_its)) uncaught.emplace_back(call, exception(std::move(described)));
}

void ModuleHost::fail_call(std::uint64_t id, ipc::Error error) {
  const auto call = open_.find(id);
  if (call == open_.end()) return;
  if (call->second.cancelled) return answer_cancelled(id);
  answer_error(id, std::move(error));
}

bool ModuleHost::is_taken(Uncaught what, v8::Local<v8::Value> value, v8::Local<v8::Value> subject) {
  v8::TryCatch failure(isolate_);
  v8::Local<v8::Value> arguments[] = {v8::Integer::New(isolate_, static_cast<std::int32_t>(what)), value, subject};
  v8::Local<v8::Value> taken;
  return engine_.runtime()
             .tell_uncaught.Get(isolate_)
             ->Call(engine_.context(), v8::Undefined(isolate_), 3, arguments)
             .ToLocal(&taken) &&
         taken->IsTrue();
}

void ModuleHost::on_promise_reject(v8::PromiseRejectMessage message) {
  v8::Local<v8::Promise> promise = message.GetPromise();
  v8::Isolate* isolate = promise->GetIsolate();
  ModuleHost* host = Engine::host_of(isolate);
  if (host == nullptr) return;
  if (message.GetEvent() == v8::kPromiseRejectWithNoHandler) {
    const std::uint64_t call = host->engine_.current_call();
    auto& rejections = host->failures_[turn_owner_of(call)].rejections;
    if (rejections.size() < kMaxRejections) {
      rejections.push_back(
          {v8::Global<v8::Promise>(isolate, promise), v8::Global<v8::Value>(isolate, message.GetValue()), call});
    }
  } else if (message.GetEvent() == v8::kPromiseHandlerAddedAfterReject) {
    for (auto& [owner, failures] : host->failures_) {
      const auto is_it = [&](const Rejection& rejection) { return rejection.promise == promise; };
      if (std::erase_if(failures.rejections, is_it) > 0) return;
    }
    const auto reported = std::find_if(host->reported_.begin(), host->reported_.end(),
                                       [&](const ReportedPromise& known) { return known.promise == promise; });
    if (reported == host->reported_.end()) return;
    auto& handled_late = host->failures_[turn_owner_of(reported->call)].handled_late;
    handled_late.push_back({v8::Global<v8::Promise>(isolate, promise), reported->call});
    host->reported_.erase(reported);
  }
}

// V8 calls this for what a microtask throws; nothing else would report it.
void ModuleHost::on_uncaught(v8::Local<v8::Message> message, v8::Local<v8::Value> thrown) {
  ModuleHost* host = Engine::host_of(v8::Isolate::GetCurrent());
  if (host == nullptr) return;
  host->report_uncaught("a microtask", thrown, message);
}

// Listeners may reject promises as well. Those rejections are not reported here, or this stretch might never end.
void ModuleHost::report_failures(TurnOwner owner) {
  const auto found = failures_.find(owner);
  if (found == failures_.end()) return;
  Failures failures = std::exchange(found->second, Failures{.is_queued = found->second.is_queued});
  for (auto& [call, error] : failures.uncaught) fail_call(call, std::move(error));
  report_late_handlers(failures.handled_late);
  report_rejections(std::move(failures.rejections));
}

// An owner has at most one such task. If its failures are reported before the task runs, the task does nothing.
void ModuleHost::queue_left_failures() {
  std::erase_if(failures_, [](const auto& entry) { return entry.second.empty() && !entry.second.is_queued; });
  for (auto& [owner, failures] : failures_) {
    if (failures.empty() || std::exchange(failures.is_queued, true)) continue;
    turns_.push(owner, {Task::Kind::failures, failures.first_call(), owner});
  }
}

std::uint64_t ModuleHost::Failures::first_call() const {
  if (!uncaught.empty()) return uncaught.front().first;
  return !handled_late.empty() ? handled_late.front().call : rejections.front().call;
}

void ModuleHost::report_rejections(std::vector<Rejection> rejections) {
  if (rejections.empty()) return;
  v8::HandleScope scope(isolate_);
  std::size_t logged = 0;
  for (const Rejection& rejection : rejections) {
    v8::Local<v8::Promise> promise = rejection.promise.Get(isolate_);
    // The promise that a function returned is an answer, and marked as handled by then.
    if (promise->HasHandler()) continue;
    engine_.set_current_call(rejection.call);
    v8::Local<v8::Value> reason = rejection.reason.Get(isolate_);
    const bool is_taken_by_listener = is_taken(Uncaught::unhandled_rejection, reason, promise);
    remember_unhandled(promise, rejection.call);
    if (is_taken_by_listener) continue;
    engine_.set_current_call(rejection.call);
    const bool fails_load = rejection.call == 0 && is_loading();
    if (logged == kMaxRejectionsLogged && !fails_load && !open_.contains(rejection.call)) continue;
    static constexpr const char* kPrefix = "unhandled promise rejection: ";
    Thrown described = describe(reason);
    described.message.insert(0, kPrefix);
    if (logged < kMaxRejectionsLogged) {
      ++logged;
      log(ipc::LogLevel::error, fmt::format("{}\n{}", described.message, described.stack));
    }
    if (fails_load) {
      loading_.fail_by(reason, kPrefix);
    } else {
      fail_call(rejection.call, exception(std::move(described)));
    }
  }
}

void ModuleHost::remember_unhandled(const v8::Local<v8::Promise>& promise, std::uint64_t call) {
  std::erase_if(reported_, [](const ReportedPromise& known) { return known.promise.IsEmpty(); });
  if (reported_.size() >= kMaxReported) reported_.erase(reported_.begin());
  reported_.push_back({v8::Global<v8::Promise>(isolate_, promise), call});
  reported_.back().promise.SetWeak();
}

void ModuleHost::report_late_handlers(const std::vector<ReportedPromise>& handled_late) {
  v8::HandleScope scope(isolate_);
  for (const auto& known : handled_late) {
    v8::Local<v8::Promise> promise = known.promise.Get(isolate_);
    if (promise->State() != v8::Promise::kRejected) continue;
    engine_.set_current_call(known.call);
    (void)is_taken(Uncaught::rejection_handled, promise->Result(), promise);
  }
}

}  // namespace holdfast::worker
