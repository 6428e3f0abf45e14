// Loads a module: from its text to its exports, with a deadline for its top level. Tells the supervisor `loaded` or
// `loadFailed`. Knows nothing of calls.
#pragma once

#include <v8.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "ipc/shared_page.h"
#include "ipc/worker_messages.h"
#include "worker/channel/outbox.h"
#include "worker/plain/load_deadline.h"
#include "worker/v8/engine.h"
#include "worker/v8/module_exports.h"
#include "worker/v8/module_source.h"

namespace holdfast::worker {

// `pending`: the top level awaits something.
enum class LoadState { pending, loaded, failed };

class ModuleLoading {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // `run_microtasks` runs the microtasks of the top level, and reports what failed in them, which may call fail_by().
  // The others are not owned, and must outlive this object.
  ModuleLoading(Engine& engine, Outbox& outbox, ipc::SharedPage& page, std::function<void()> run_microtasks);

  // Compiles the module and runs its top level. At the end of that, writes `loaded` or `loadFailed` to the outbox.
  // Call it once.
  LoadState load(const ipc::LoadRequest& request);

  // Must be called after each turn while the load is pending. Ends the load if the top-level await has settled, can
  // never settle, or has taken too long.
  LoadState follow(TimePoint now, LoadDeadline::WakeUp wake_up);

  // Ends the load because of what the top level threw where nothing could catch it. `prefix` says where.
  LoadState fail_by(v8::Local<v8::Value> thrown, const char* prefix);

  bool is_loading() const { return !evaluation_.IsEmpty(); }
  // When a pending load fails.
  TimePoint deadline() const { return deadline_.at(); }

  ModuleSource& source() { return source_; }
  const ModuleSource& source() const { return source_; }
  ModuleExports& exports() { return exports_; }

  // --- what the load request says of the module
  const std::string& module() const { return module_; }
  const std::string& version() const { return version_; }
  v8::Local<v8::String> module_name() const { return module_name_.Get(isolate_); }
  v8::Local<v8::String> version_name() const { return version_name_.Get(isolate_); }
  std::uint64_t tag() const { return tag_; }
  // What Date.now() returned when the module was loaded.
  double time_origin() const { return time_origin_; }

 private:
  void set_environment(const ipc::LoadRequest& request);
  LoadState run_common_js(v8::Local<v8::Function> body, v8::Local<v8::String> file_name);
  LoadState run_es_module(v8::Local<v8::Module> module);
  LoadState take_exports(v8::Local<v8::Value> exports, ModuleFormat format);

  LoadState fail(ipc::Error error);
  LoadState fail(std::string message) { return fail(make_error(ipc::ErrorCode::load_failed, std::move(message))); }
  LoadState threw(const v8::TryCatch& failure) { return threw(failure.Exception(), failure.Message()); }
  // `place` may be empty.
  LoadState threw(v8::Local<v8::Value> thrown, v8::Local<v8::Message> place, const char* prefix = "");
  LoadState threw_at(v8::Local<v8::Value> thrown, v8::Local<v8::Value> file, int line, int column,
                     v8::Local<v8::Value> code, const char* prefix = "");

  Engine& engine_;
  v8::Isolate* const isolate_;
  Outbox& outbox_;
  ipc::SharedPage& page_;
  const std::function<void()> run_microtasks_;
  ModuleSource source_;
  ModuleExports exports_;
  LoadDeadline deadline_;
  v8::Global<v8::Promise> evaluation_;  // of a top level that awaits; empty once it has settled
  v8::Global<v8::Module> es_module_;

  std::string module_;
  std::string version_;
  v8::Global<v8::String> module_name_;
  v8::Global<v8::String> version_name_;
  std::uint64_t tag_ = 0;
  double time_origin_ = 0;
};

}  // namespace holdfast::worker
