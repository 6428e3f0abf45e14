// V8, brought up once in the zygote and then shared by fork(2): the platform, one isolate, one context with the
// runtime's globals in it. Everything here happens on the process's one thread.
#pragma once

#include <v8.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "worker/platform.h"

namespace holdfast::worker {

class ModuleHost;

// An ArrayBuffer allocator with an upper bound, past which V8 throws a RangeError. The bound is shared with the heap:
// what that held after its last full collection is taken off.
class BoundedAllocator final : public v8::ArrayBuffer::Allocator {
 public:
  // On whose account buffers are, besides; must outlive this.
  explicit BoundedAllocator(MemoryAccount& account) : account_(account) {}

  void set_limit(std::uint64_t bytes) { limit_ = bytes; }
  void set_heap_bytes(std::uint64_t bytes) { heap_bytes_ = bytes; }
  std::uint64_t used() const { return used_; }
  void* Allocate(size_t length) override;
  void* AllocateUninitialized(size_t length) override;
  void Free(void* data, size_t length) override;
  void* Reallocate(void* data, size_t old_length, size_t new_length) override;

 private:
  bool reserve(size_t length);
  void give_back(size_t length);

  MemoryAccount& account_;
  std::uint64_t limit_ = UINT64_MAX;
  std::uint64_t heap_bytes_ = 0;
  std::uint64_t used_ = 0;
};

// What the runtime's JavaScript offers to the worker (the files of worker/runtime say what each does).
struct RuntimeFunctions {
  v8::Global<v8::Function> set_environment;
  v8::Global<v8::Function> make_context;
  v8::Global<v8::Function> abort_call;
  v8::Global<v8::Function> watch;
  v8::Global<v8::Function> describe_error;
  v8::Global<v8::Function> find_unserializable;
  v8::Global<v8::Function> find_lossy;
  v8::Global<v8::Function> check_structured;
  v8::Global<v8::Function> split_structured;
  v8::Global<v8::Function> restore_errors;
  v8::Global<v8::Function> stream;
  v8::Global<v8::Function> require;
  v8::Global<v8::Function> missing_module;
  v8::Global<v8::Function> missing_export;
  v8::Global<v8::Function> is_class;
  v8::Global<v8::Function> describe_load_failure;
  v8::Global<v8::Function> prepare_stack_trace;
  v8::Global<v8::Function> function_places;
  v8::Global<v8::Function> tell_uncaught;
  v8::Global<v8::Function> run_task;
};

// Adds to the context that modules will see.
using ExtendContext = std::function<void(v8::Isolate*, v8::Local<v8::Context>)>;

struct EngineOptions {
  // The largest limit that any module may have.
  std::uint64_t memory_bytes = 0;
  // V8 makes no machine code while it runs, so that the process needs no executable memory of its own: JavaScript and
  // regular expressions are interpreted, and there is no WebAssembly.
  bool jitless = false;
  ExtendContext extend_context = {};
};

class Engine {
 public:
  // Starts V8 and evaluates the runtime; then calls `extend_context`, if there is one. Once in a process. Aborts if the
  // runtime's own code fails.
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // To be called in each forked child before any JavaScript runs there: without it all children would see the same
  // Math.random().
  void reseed();

  // Throws away what warming up left on the heap, so that children share clean pages. What is left is the runtime's.
  void collect_garbage();
  // The same, and leaves nothing of it to be done later: for a process that is to be forked.
  void settle_heap();

  // What V8 itself lets the heap come to before it asks for more.
  std::uint64_t heap_limit() const { return heap_limit_; }

  // The module's limit for its heap and its array buffers together; at most what the constructor was given.
  void set_memory_limit(std::uint64_t bytes);
  std::uint64_t memory_limit() const { return memory_limit_; }

  // The steps of every clock that the module can read.
  CoarseClock& clock() { return platform_->clock(); }

  // Whether eval, new Function and the like make code; they throw otherwise.
  void set_code_from_strings_allowed(bool allowed) { context()->AllowCodeGenerationFromStrings(allowed); }

  // After a full collection: whether what is left is as good as the whole limit, so that further collections would only
  // take time.
  bool memory_is_used_up();

  v8::Isolate* isolate() const { return isolate_; }
  v8::Local<v8::Context> context() const { return context_.Get(isolate_); }
  const RuntimeFunctions& runtime() const { return runtime_; }
  void run_pending_tasks() { platform_->run_pending_tasks(isolate_); }

  // The one that the runtime's native functions (console, timers, settle) serve now; null between modules.
  void set_host(ModuleHost* host) { isolate_->SetData(kHostSlot, host); }
  static ModuleHost* host_of(v8::Isolate* isolate) { return static_cast<ModuleHost*>(isolate->GetData(kHostSlot)); }

  static Engine& of(v8::Isolate* isolate) { return *static_cast<Engine*>(isolate->GetData(kEngineSlot)); }

  // Interned, for names that are looked up. One that V8 does not have yet goes to a place of its own in a large table.
  v8::Local<v8::String> string(std::string_view text) const;
  // For all other text, of at most v8::String::kMaxLength bytes.
  v8::Local<v8::String> text(std::string_view text) const;

 private:
  static constexpr std::uint32_t kHostSlot = 0;
  static constexpr std::uint32_t kEngineSlot = 1;

  void evaluate_runtime();

  std::unique_ptr<SingleThreadedPlatform> platform_;
  BoundedAllocator array_buffers_;
  v8::Isolate* isolate_ = nullptr;
  v8::Global<v8::Context> context_;
  RuntimeFunctions runtime_;
  const std::uint64_t heap_limit_;
  // V8's flag of the seed; null where its library does not show it. To set it by its name costs 0.2 ms: V8 looks at
  // all of its flags for that.
  int* const seed_flag_;
  std::uint64_t runtime_heap_bytes_ = 0;  // the runtime's own part of the heap, which is on no module's account
  std::uint64_t memory_limit_ = UINT64_MAX;
};

}  // namespace holdfast::worker
