#include "worker/v8/engine.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <v8-statistics.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "worker/plain/broken.h"
#include "worker/v8/module_host.h"
#include "worker/v8/module_loader.h"
#include "worker/v8/native_functions.h"
#include "worker/v8/native_memory.h"
#include "worker/v8/pinned_choices.h"
#include "worker/v8/runtime_source.h"

namespace holdfast::worker {
namespace {

// The young generation is three semi-spaces of this size at the most. Larger ones collect less often and cost more
// private memory in each worker.
constexpr size_t kMaxYoungGenerationBytes = size_t{6} << 20;

// The initial size of a semi-space. V8 enlarges it for a module in which much survives.
constexpr size_t kFirstYoungGenerationBytes = size_t{1536} << 10;

// What heap, code, array buffers and WebAssembly's memory may take together on top of a module's limit: room for the
// young generation, for moving objects, and for what V8 needs to take a stack when the limit is reached. The kernel's
// limit leaves twice as much again for malloc(3) (worker/process/zygote.cc).
constexpr std::uint64_t kAccountHeadroom = std::uint64_t{32} << 20;
// The part of the headroom that array buffers and WebAssembly's memory cannot use. The rest makes up for heap pages
// that are charged but not used.
constexpr std::uint64_t kAccountReserve = std::uint64_t{24} << 20;

// A text in the program's constants, which V8 reads in place: it takes no room on the heap, nor in any worker.
class StaticText final : public v8::String::ExternalOneByteStringResource {
 public:
  explicit StaticText(std::string_view text) : text_(text) {}
  const char* data() const override { return text_.data(); }
  size_t length() const override { return text_.size(); }

 private:
  const std::string_view text_;
};

[[noreturn]] void runtime_failed(std::string_view what, v8::Isolate* isolate, v8::TryCatch& failure) {
  v8::String::Utf8Value text(isolate, failure.Exception());
  broken(fmt::format("the runtime's {} does not fail: {}", what, *text ? *text : "?"));
}

}  // namespace

bool BoundedAllocator::reserve(size_t length) {
  const std::uint64_t taken = used_ + heap_bytes_;
  if (taken > limit_ || length > limit_ - taken || !account_.take(length)) return false;
  used_ += length;
  return true;
}

void BoundedAllocator::give_back(size_t length) {
  used_ -= length;
  account_.give_back(length);
}

void* BoundedAllocator::Allocate(size_t length) {
  if (!reserve(length)) return nullptr;
  void* data = allocate_zeroed_or_null(length);
  if (data == nullptr) give_back(length);
  return data;
}

void* BoundedAllocator::AllocateUninitialized(size_t length) {
  if (!reserve(length)) return nullptr;
  void* data = allocate_or_null(length);
  if (data == nullptr) give_back(length);
  return data;
}

void BoundedAllocator::Free(void* data, size_t length) {
  give_back(length);
  std::free(data);
}

void* BoundedAllocator::Reallocate(void* data, size_t old_length, size_t new_length) {
  void* larger = Allocate(new_length);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, data, std::min(old_length, new_length));
  Free(data, old_length);
  return larger;
}

Engine::Engine(const EngineOptions& options)
    : platform_(std::make_unique<SingleThreadedPlatform>()),
      array_buffers_(platform_->memory()),
      heap_limit_(options.memory_bytes),
      seed_flag_(static_cast<int*>(::dlsym(RTLD_DEFAULT, "_ZN2v88internal16FLAG_random_seedE"))) {
  pin_flags(options.jitless ? PinnedFlag::Where::jitless : PinnedFlag::Where::everywhere);
  v8::V8::InitializePlatform(platform_.get());
  v8::V8::Initialize();

  v8::Isolate::CreateParams parameters;
  parameters.array_buffer_allocator = &array_buffers_;
  parameters.allow_atomics_wait = false;  // it would block the one thread
  parameters.constraints.set_max_old_generation_size_in_bytes(heap_limit_);
  parameters.constraints.set_max_young_generation_size_in_bytes(kMaxYoungGenerationBytes);
  parameters.constraints.set_initial_young_generation_size_in_bytes(kFirstYoungGenerationBytes);
  isolate_ = v8::Isolate::New(parameters);
  isolate_->Enter();
  isolate_->SetData(kEngineSlot, this);
  install_import_callbacks(isolate_);
  ModuleHost::listen_to(isolate_);
  isolate_->SetMicrotasksPolicy(v8::MicrotasksPolicy::kExplicit);

  v8::HandleScope scope(isolate_);
  v8::Local<v8::Context> context = v8::Context::New(isolate_);
  context->AllowCodeGenerationFromStrings(false);
  context->SetErrorMessageForCodeGenerationFromStrings(
      string("eval and new Function are off: a module runs only the code that was loaded"));
  context_.Reset(isolate_, context);
  context->Enter();
  evaluate_runtime();
}

// The process ends without shutting V8 down: its end frees everything.
Engine::~Engine() = default;

void Engine::evaluate_runtime() {
  v8::Local<v8::Context> context = this->context();
  v8::Local<v8::Object> host = v8::Object::New(isolate_);
  install_native_functions(isolate_, context, host);
  v8::Local<v8::Object> runtime = v8::Object::New(isolate_);

  v8::TryCatch failure(isolate_);
  for (const RuntimeSource& source : runtime_sources()) {
    v8::ScriptOrigin origin(isolate_, string(source.name));
    // V8 owns the StaticText.
    const auto text = v8::String::NewExternalOneByte(isolate_, new StaticText(source.text)).ToLocalChecked();
    v8::ScriptCompiler::Source script(text, origin);
    v8::Local<v8::String> parameters[] = {string("host"), string("runtime")};
    v8::Local<v8::Value> arguments[] = {host, runtime};
    v8::Local<v8::Function> body;
    if (!v8::ScriptCompiler::CompileFunctionInContext(context, &script, 2, parameters, 0, nullptr).ToLocal(&body) ||
        body->Call(context, v8::Undefined(isolate_), 2, arguments).IsEmpty()) {
      runtime_failed(source.name, isolate_, failure);
    }
  }

  const auto take = [&](const char* name, v8::Global<v8::Function>& into) {
    v8::Local<v8::Value> value;
    if (!runtime->Get(context, string(name)).ToLocal(&value) || !value->IsFunction()) {
      runtime_failed(name, isolate_, failure);
    }
    into.Reset(isolate_, value.As<v8::Function>());
  };
  take("setEnvironment", runtime_.set_environment);
  take("makeContext", runtime_.make_context);
  take("abortCall", runtime_.abort_call);
  take("watch", runtime_.watch);
  take("describeError", runtime_.describe_error);
  take("findUnserializable", runtime_.find_unserializable);
  take("findLossy", runtime_.find_lossy);
  take("checkStructured", runtime_.check_structured);
  take("splitStructured", runtime_.split_structured);
  take("restoreErrors", runtime_.restore_errors);
  take("stream", runtime_.stream);
  take("require", runtime_.require);
  take("missingModule", runtime_.missing_module);
  take("missingExport", runtime_.missing_export);
  take("isClass", runtime_.is_class);
  take("describeLoadFailure", runtime_.describe_load_failure);
  take("prepareStackTrace", runtime_.prepare_stack_trace);
  take("functionPlaces", runtime_.function_places);
  take("tellUncaught", runtime_.tell_uncaught);
  take("runTask", runtime_.run_task);
}

void Engine::reseed() {
  std::uint32_t seed = 0;
  expect(::getrandom(&seed, sizeof seed, 0) == sizeof seed, "getrandom(2) gives a seed");
  // An int flag of V8, in which 0 means "not set".
  const int value = static_cast<int>(std::max(seed, 1U));
  if (seed_flag_ != nullptr) {
    *seed_flag_ = value;
    return;
  }
  char flag[32];
  std::snprintf(flag, sizeof flag, "--random-seed=%d", value);
  v8::V8::SetFlagsFromString(flag);
}

void Engine::collect_garbage() { isolate_->LowMemoryNotification(); }

void Engine::settle_heap() {
  collect_garbage();
  v8::HeapStatistics heap;
  isolate_->GetHeapStatistics(&heap);
  runtime_heap_bytes_ = heap.used_heap_size();
  // V8 sweeps only when it next needs room, which each worker would then do for itself. Counting the code makes V8
  // finish the sweep now.
  v8::HeapCodeStatistics code;
  isolate_->GetHeapCodeAndMetadataStatistics(&code);
}

void Engine::set_memory_limit(std::uint64_t bytes) {
  memory_limit_ = bytes;
  MemoryAccount& account = platform_->memory();
  const std::uint64_t room = UINT64_MAX - account.used() - kAccountHeadroom;
  account.set_limit(account.used() + kAccountHeadroom + std::min(bytes, room), kAccountReserve);
  array_buffers_.set_limit(bytes);
}

void Engine::set_current_call(std::uint64_t call) {
  context()->SetContinuationPreservedEmbedderData(v8::Number::New(isolate_, static_cast<double>(call)));
}

std::uint64_t Engine::current_call() const {
  v8::HandleScope scope(isolate_);
  v8::Local<v8::Value> call = context()->GetContinuationPreservedEmbedderData();
  return call->IsNumber() ? static_cast<std::uint64_t>(call.As<v8::Number>()->Value()) : 0;
}

bool Engine::memory_is_used_up() {
  // When so small a part of the limit is left, V8 collects again and again for less and less. The part must also
  // exceed what buffers and heap do not see of each other between two collections.
  constexpr std::uint64_t kHopelessPart = 16;
  v8::HeapStatistics heap;
  isolate_->GetHeapStatistics(&heap);
  const std::uint64_t used =
      heap.used_heap_size() - std::min<std::uint64_t>(heap.used_heap_size(), runtime_heap_bytes_);
  array_buffers_.set_heap_bytes(used);
  const std::uint64_t part = memory_limit_ / kHopelessPart;
  // Buffers alone may come close to the limit: beyond it, they are refused.
  return used >= memory_limit_ - part || used + array_buffers_.used() > memory_limit_ + part;
}

v8::Local<v8::String> Engine::string(std::string_view text) const {
  return v8::String::NewFromUtf8(isolate_, text.data(), v8::NewStringType::kInternalized, static_cast<int>(text.size()))
      .ToLocalChecked();
}

v8::Local<v8::String> Engine::text(std::string_view text) const {
  return v8::String::NewFromUtf8(isolate_, text.data(), v8::NewStringType::kNormal, static_cast<int>(text.size()))
      .ToLocalChecked();
}

}  // namespace holdfast::worker
