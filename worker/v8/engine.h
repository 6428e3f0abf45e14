// V8, started once in the zygote and then shared by fork(2): the platform, one isolate, and one context that has the
// runtime's globals. Everything here runs on the process's only thread.
#pragma once

#include <v8.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "worker/v8/platform.h"

namespace holdfast::worker {

class ModuleHost;

// An ArrayBuffer allocator with an upper bound; V8 throws a RangeError beyond it. Array buffers share the bound with
// the heap: the heap's size after its last full collection is subtracted from it.
class BoundedAllocator final : public v8::ArrayBuffer::Allocator {
 public:
  // Buffers are also charged to `account`, which must outlive this object.
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

// The functions of the runtime's JavaScript that the worker calls. The files in worker/runtime say what each does.
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

struct EngineOptions {
  // The largest memory limit that any module may have.
  std::uint64_t memory_bytes = 0;
  // V8 generates no machine code while it runs, so the process needs no executable memory of its own. JavaScript and
  // regular expressions are interpreted, and there is no WebAssembly.
  bool jitless = false;
};

class Engine {
 public:
  // Starts V8 and evaluates the runtime. May be called once in a process. Aborts if the runtime's own code fails.
  explicit Engine(const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Must be called in each forked child before any JavaScript runs there. Without it all children would see the same
  // sequence from Math.random().
  void reseed();

  // Runs a full collection.
  void collect_garbage();
  // Runs a full collection and finishes V8's sweeping, so that children share clean pages without the garbage of the
  // warm-up. What is left on the heap counts as the runtime's own from now on, so it must be called before a module is
  // loaded. For a process that is about to fork or to become a worker.
  void settle_heap();

  // The size to which V8 lets the heap grow before it asks for more.
  std::uint64_t heap_limit() const { return heap_limit_; }

  // Sets the module's limit for its heap and its array buffers together, in bytes; at most the constructor's
  // memory_bytes.
  void set_memory_limit(std::uint64_t bytes);
  std::uint64_t memory_limit() const { return memory_limit_; }

  // The clock behind every way in which the module can read the time.
  CoarseClock& clock() { return platform_->clock(); }

  // Whether eval, new Function and the like may compile code. If not, they throw.
  void set_code_from_strings_allowed(bool allowed) { context()->AllowCodeGenerationFromStrings(allowed); }

  // To be called after a full collection. True if what is left is so close to the limit that further collections
  // would only take time.
  bool memory_is_used_up();

  v8::Isolate* isolate() const { return isolate_; }
  v8::Local<v8::Context> context() const { return context_.Get(isolate_); }
  const RuntimeFunctions& runtime() const { return runtime_; }

  // The call to which the running JavaScript belongs, across awaits; SharedPage::kNothing if none.
  void set_current_call(std::uint64_t call);
  std::uint64_t current_call() const;

  void run_pending_tasks() { platform_->run_pending_tasks(isolate_); }

  // The host that the runtime's native functions (console, timers, settle) serve now; null between modules.
  void set_host(ModuleHost* host) { isolate_->SetData(kHostSlot, host); }
  static ModuleHost* host_of(v8::Isolate* isolate) { return static_cast<ModuleHost*>(isolate->GetData(kHostSlot)); }

  static Engine& of(v8::Isolate* isolate) { return *static_cast<Engine*>(isolate->GetData(kEngineSlot)); }

  // An internalized string, for names that are looked up. A string that V8 does not have yet takes an entry in a
  // large table.
  v8::Local<v8::String> string(std::string_view text) const;
  // An ordinary string, for all other text, of at most v8::String::kMaxLength bytes.
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
  // V8's random-seed flag; null if its library does not export the flag's symbol. Setting the flag by its name takes
  // 0.2 ms, because V8 looks at all of its flags for that.
  int* const seed_flag_;
  std::uint64_t runtime_heap_bytes_ = 0;  // the runtime's own part of the heap, not charged to any module
  std::uint64_t memory_limit_ = UINT64_MAX;
};

}  // namespace holdfast::worker
