#include "worker/v8/fatal_report.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "ipc/worker_messages.h"
#include "ipc/worker_status.h"
#include "worker/plain/broken.h"
#include "worker/v8/module_host.h"

namespace holdfast::worker {
namespace {

constexpr int kMaxFrames = 32;
constexpr std::size_t kMaxStackBytes = 8 << 10;
// Room in the emergency buffer for the longest stack and a detail.
constexpr std::size_t kEmergencyWords = (kMaxStackBytes + 1024) / sizeof(ipc::Word) + 64;
// How much a module that has reached its limit may still allocate before V8's next interrupt check, where its stack
// can be taken.
constexpr std::size_t kHeapGraceBytes = std::size_t{16} << 20;

// Signal handlers and V8's callbacks get no other pointer to this process's state.
struct State {
  Engine* engine = nullptr;
  Outbox* outbox = nullptr;
  Line* line = nullptr;
  ipc::SharedPage* page = nullptr;
  volatile sig_atomic_t soft_stop = false;  // asked for
  bool out_of_memory = false;               // found, and to be reported at the next interrupt check
  bool grace_given = false;
};
State state;

// What is expected of the zygote, and of a worker that is not set up yet.
constexpr const char* kNotAWorker = "V8 and memory do not fail before a worker is set up: ";

// Allocated in advance: there may be no memory left when it is needed.
ipc::OutputBuffer& emergency_buffer() {
  static ipc::OutputBuffer buffer = [] {
    ipc::OutputBuffer with_room;
    with_room.begin_frame(kEmergencyWords);
    return with_room;
  }();
  return buffer;
}

[[noreturn]] void stop(ipc::StopReason reason, std::uint64_t call, std::string_view stack, std::string_view detail,
                       int status = 0) {
  if (state.outbox == nullptr) broken(kNotAWorker + std::string(detail));
  state.outbox->send_all();  // answers that are ready are still sent
  if (state.line != nullptr) state.line->send_some();
  state.outbox->buffer().swap(emergency_buffer());
  encode(state.outbox->buffer(), ipc::Stopped{reason, call, stack, detail});
  state.outbox->send_all();
  ::_exit(status);
}

// For cases in which no JavaScript can be asked: the call that the shared page names; 0 if none.
std::uint64_t running_call() {
  if (state.page == nullptr) return 0;
  const std::uint64_t running = state.page->running.load(std::memory_order_relaxed);
  return running == ipc::SharedPage::kLoading || running == ipc::SharedPage::kBackground ? 0 : running;
}

// Whether the script is the runtime's. An author cannot act on its frames.
bool is_of_the_runtime(v8::Isolate* isolate, v8::Local<v8::String> script) {
  if (script.IsEmpty()) return false;
  v8::String::Utf8Value name(isolate, script);
  return *name != nullptr && std::string_view(*name).starts_with("holdfast:");
}

std::string text_of(v8::Isolate* isolate, v8::Local<v8::String> part, const char* otherwise) {
  v8::String::Utf8Value utf8(isolate, part);
  return part.IsEmpty() || utf8.length() == 0 ? otherwise : *utf8;
}

struct Frame {
  v8::Local<v8::String> function;
  std::string script;
  int line = 0;
  int column = 0;
};

// The module's frames of the current stack.
std::vector<Frame> take_frames(v8::Isolate* isolate) {
  v8::Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, kMaxFrames, v8::StackTrace::kDetailed);
  std::vector<Frame> frames;
  for (int i = 0; i < trace->GetFrameCount(); ++i) {
    v8::Local<v8::StackFrame> frame = trace->GetFrame(isolate, static_cast<std::uint32_t>(i));
    v8::Local<v8::String> script = frame->GetScriptNameOrSourceURL();
    if (is_of_the_runtime(isolate, script)) continue;
    frames.push_back(
        {frame->GetFunctionName(), text_of(isolate, script, "<unknown>"), frame->GetLineNumber(), frame->GetColumn()});
  }
  return frames;
}

// The frame's place, by the module's source map if there is one. Runs no JavaScript, and takes no longer than the
// supervisor's patience allows.
std::string place_of(ModuleHost* host, const Frame& frame) {
  if (host != nullptr) {
    if (const auto place = host->loading().source().original_place_at_once(frame.script, frame.line, frame.column)) {
      return place->source + ':' + std::to_string(place->line) + ':' + std::to_string(place->column);
    }
  }
  return frame.script + ':' + std::to_string(frame.line) + ':' + std::to_string(frame.column);
}

std::string name_of(v8::Isolate* isolate, ModuleHost* host, const Frame& frame,
                    const std::vector<ModuleSource::FunctionPlace>& places) {
  const auto place = std::ranges::find_if(places, [&](const ModuleSource::FunctionPlace& known) {
    return known.line == frame.line && known.column == frame.column;
  });
  if (place != places.end() && !frame.function.IsEmpty() && frame.script == host->loading().source().file_name()) {
    std::string name =
        host->loading().source().original_function_name(frame.function, place->begin_line, place->begin_column);
    if (!name.empty()) return name;
  }
  return text_of(isolate, frame.function, "<anonymous>");
}

std::string as_text(v8::Isolate* isolate, const std::vector<Frame>& frames,
                    const std::vector<ModuleSource::FunctionPlace>& places) {
  ModuleHost* host = Engine::host_of(isolate);
  std::string text;
  for (const Frame& frame : frames) {
    if (text.size() >= kMaxStackBytes) break;
    if (!text.empty()) text += '\n';
    text += "    at " + name_of(isolate, host, frame, places) + " (" + place_of(host, frame) + ')';
  }
  text.resize(std::min(text.size(), kMaxStackBytes));
  return text;
}

// The stack without the functions' original names. Looking for these runs JavaScript of the runtime on the module's
// heap and stack. If that fails in any way, the stack is reported without them.
struct UnnamedStack {
  bool is_being_named = false;
  ipc::StopReason reason{};
  std::uint64_t call = 0;
  std::string text;
  std::string_view detail;
};
UnnamedStack unnamed;

void stop_if_naming_failed() {
  if (std::exchange(unnamed.is_being_named, false)) stop(unnamed.reason, unnamed.call, unnamed.text, unnamed.detail);
}

[[noreturn]] void stop_with_frames(v8::Isolate* isolate, ipc::StopReason reason, std::uint64_t call,
                                   const std::vector<Frame>& frames, std::string_view detail) {
  unnamed = {
      .is_being_named = true, .reason = reason, .call = call, .text = as_text(isolate, frames, {}), .detail = detail};
  ModuleHost* host = Engine::host_of(isolate);
  const auto places =
      host == nullptr ? std::vector<ModuleSource::FunctionPlace>{} : host->loading().source().function_places();
  const std::string text = places.empty() ? unnamed.text : as_text(isolate, frames, places);
  unnamed.is_being_named = false;
  stop(reason, call, text, detail);
}

// --- a stack to be told ---------------------------------------------------------------------------------------------

// V8 also checks for interrupts in built-in functions that run between two functions of the module, above all those
// that resume an async function. Their stack shows nothing that an author wrote. The report then waits for the
// module's next function, in two ways that cost nothing until they are set up here. V8 reports each promise that is
// made or resolved, with the responsible function on the stack. And a microtask in each round of microtasks requests
// one more interrupt, which the next function meets at its entry.
struct AwaitedStack {
  bool is_awaited = false;
  ipc::StopReason reason{};
  std::uint64_t call = 0;
  std::string_view detail;                // if a stack is found
  std::chrono::nanoseconds give_up_at{};  // of the process's CPU time
};
AwaitedStack awaited;

// Much less than the supervisor waits after it has asked for a soft stop (supervisor/workers/workers.cc).
constexpr std::chrono::milliseconds kStackPatience{10};

std::chrono::nanoseconds cpu_time_now() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::uint64_t current_call(v8::Isolate* isolate) {
  return Engine::host_of(isolate) == nullptr ? 0 : Engine::of(isolate).current_call();
}

void stop_if_there_is_a_stack(v8::Isolate* isolate) {
  if (unnamed.is_being_named) return;
  v8::HandleScope scope(isolate);
  const auto frames = take_frames(isolate);
  if (!frames.empty()) stop_with_frames(isolate, awaited.reason, current_call(isolate), frames, awaited.detail);
}

void on_promise_event(v8::PromiseHookType, v8::Local<v8::Promise>, v8::Local<v8::Value>) {
  stop_if_there_is_a_stack(v8::Isolate::GetCurrent());
}

void on_awaited_interrupt(v8::Isolate* isolate, void*) { stop_if_there_is_a_stack(isolate); }

void on_round_of_microtasks(void* data) {
  auto* const isolate = static_cast<v8::Isolate*>(data);
  if (cpu_time_now() >= awaited.give_up_at) {
    const bool is_soft_stop = awaited.reason == ipc::StopReason::soft_stop;
    stop(awaited.reason, awaited.call, "", is_soft_stop ? ipc::kBetweenMicrotasks : awaited.detail);
  }
  isolate->EnqueueMicrotask(on_round_of_microtasks, isolate);
  isolate->RequestInterrupt(on_awaited_interrupt, nullptr);
}

// Called at an interrupt: ends the process, now or as soon as there is a stack to report.
void stop_with_stack(v8::Isolate* isolate, ipc::StopReason reason, std::string_view detail) {
  if (unnamed.is_being_named) return;
  v8::HandleScope scope(isolate);
  const auto frames = take_frames(isolate);
  const std::uint64_t call = current_call(isolate);
  if (!frames.empty()) stop_with_frames(isolate, reason, call, frames, detail);
  ModuleHost* host = Engine::host_of(isolate);
  const bool is_encoding = host != nullptr && host->is_encoding();
  if (is_encoding || !v8::MicrotasksScope::IsRunningMicrotasks(isolate)) {
    stop(reason, call, "", reason == ipc::StopReason::soft_stop ? ipc::kWhileEncoding : detail);
  }
  if (std::exchange(awaited.is_awaited, true)) return;
  awaited.reason = reason;
  awaited.call = call;
  awaited.detail = detail;
  awaited.give_up_at = cpu_time_now() + kStackPatience;
  isolate->SetPromiseHook(on_promise_event);
  isolate->EnqueueMicrotask(on_round_of_microtasks, isolate);
}

void on_soft_stop_interrupt(v8::Isolate* isolate, void*) { stop_with_stack(isolate, ipc::StopReason::soft_stop, ""); }

void on_out_of_memory_interrupt(v8::Isolate* isolate, void*) {
  if (!state.out_of_memory) return;  // settle_memory() found enough memory since
  stop_with_stack(isolate, ipc::StopReason::out_of_memory, "heap");
}

// RequestInterrupt() takes a recursive lock, and puts an entry into a queue whose first block exists from the start.
// So it neither blocks nor allocates here, as long as a process gets one soft stop only.
void on_soft_stop_signal(int) {
  state.soft_stop = true;
  state.engine->isolate()->RequestInterrupt(on_soft_stop_interrupt, nullptr);
}

// exit_group(2), inlined: an attacker could redirect a call of a function whose address lies in memory.
[[noreturn]] inline void leave(long status) {
  for (;;) {
#if defined(__x86_64__)
    asm volatile("syscall" : : "a"(SYS_exit_group), "D"(status) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
    register long number asm("x8") = SYS_exit_group;
    register long argument asm("x0") = status;
    asm volatile("svc 0" : : "r"(number), "r"(argument) : "memory");
#else
    ::_exit(static_cast<int>(status));
#endif
  }
}

// The kernel calls this handler whatever an attacker has done to the process's memory: the kernel keeps the handler's
// address, and the code cannot be changed (sandbox::seal_code()). The only thing read from memory is the address to
// write the number to.
void on_refused_system_call(int, siginfo_t* info, void*) {
  std::uint32_t told = static_cast<std::uint32_t>(info->si_syscall) + 1;
  if (told == 0) told = UINT32_MAX;  // native code can pass -1, too
  state.page->refused_system_call.store(told, std::memory_order_release);
  leave(ipc::kRefusedSystemCallStatus);
}

void tell_out_of_memory_soon() {
  if (std::exchange(state.out_of_memory, true)) return;
  state.engine->isolate()->RequestInterrupt(on_out_of_memory_interrupt, nullptr);
}

// Called after each full collection. V8 would otherwise go on to collect, more and more often, until nothing is left.
void on_collected(v8::Isolate*, v8::GCType, v8::GCCallbackFlags) {
  if (state.engine->memory_is_used_up()) tell_out_of_memory_soon();
}

// V8 calls this before it would end the process for lack of heap.
size_t on_near_heap_limit(void*, size_t current, size_t) {
  stop_if_naming_failed();
  if (std::exchange(state.grace_given, true)) stop(ipc::StopReason::out_of_memory, running_call(), "", "heap");
  tell_out_of_memory_soon();
  return current + kHeapGraceBytes;
}

void on_v8_out_of_memory(const char* location, bool is_heap) {
  stop_if_naming_failed();
  stop(ipc::StopReason::out_of_memory, running_call(), "", is_heap ? "heap" : location);
}

void on_v8_fatal(const char* location, const char* message) {
  stop_if_naming_failed();
  const std::string detail = std::string(location == nullptr ? "V8" : location) + ": " + message;
  stop(ipc::StopReason::fatal, running_call(), "", std::string_view(detail).substr(0, 1000));
}

void on_new_failed() {
  stop_if_naming_failed();
  stop(ipc::StopReason::out_of_memory, running_call(), "", "native memory");
}

void on_broken(std::string_view expected) {
  stop(ipc::StopReason::fatal, running_call(), "", "expected that " + std::string(expected));
}

void on_terminate() { stop(ipc::StopReason::fatal, running_call(), "", "an uncaught C++ exception"); }

// What V8 prints before it aborts, which is the only reason that it gives. Standard error is closed, so stderr is
// made to lead here.
char abort_message[1024];

void catch_abort_message() {
  FILE* message = ::fmemopen(abort_message, sizeof abort_message - 1, "w");
  expect(message != nullptr, "fmemopen(3) makes a stream");
  std::setvbuf(message, nullptr, _IONBF, 0);  // there may be no memory for a buffer when it is needed
  stderr = message;
}

// V8's failed checks end in an int3 or ud2 instruction (--hard-abort). This process sends itself no signals.
[[noreturn]] void on_abort([[maybe_unused]] int signal) {
  stop_if_naming_failed();
  std::string_view message = abort_message;
  // V8 cannot make so large an object, however much memory there is, and JavaScript has no exception for it.
  if (message.find("invalid size error") != std::string_view::npos) {
    stop(ipc::StopReason::out_of_memory, running_call(), "", "an object too large for V8");
  }
  // V8 prints the message between two lines of marks.
  message.remove_prefix(std::min(message.find_first_not_of("\n#"), message.size()));
  if (!message.empty()) stop(ipc::StopReason::fatal, running_call(), "", message.substr(0, message.find("\n#\n")));
    // Without a message it is a crash, which must not be continued. The same instruction again ends the process,
    // because the signal is blocked here. (The filter allows neither rt_sigaction(2) nor kill(2).)
#ifdef __x86_64__
  if (signal == SIGTRAP) asm volatile("int3");
#endif
  __builtin_trap();
}

void handle(int signal, struct sigaction action) {
  sigemptyset(&action.sa_mask);
  expect(::sigaction(signal, &action, nullptr) == 0, "sigaction(2) takes the handlers of a worker");
}

}  // namespace

void prepare_fatal_report(Engine& engine) {
  (void)emergency_buffer();
  catch_abort_message();
  state.engine = &engine;
  engine.isolate()->AddGCEpilogueCallback(on_collected, v8::kGCTypeMarkSweepCompact);
  engine.isolate()->AddNearHeapLimitCallback(on_near_heap_limit, nullptr);
  engine.isolate()->SetOOMErrorHandler(on_v8_out_of_memory);
  engine.isolate()->SetFatalErrorHandler(on_v8_fatal);
  v8::V8::SetFatalMemoryErrorCallback(on_v8_out_of_memory);
}

void install_fatal_report(Outbox& outbox, Line* line, ipc::SharedPage& page) {
  state.outbox = &outbox;
  state.line = line;
  state.page = &page;
  tell_broken_by(on_broken);

  struct sigaction action = {};
  action.sa_handler = on_soft_stop_signal;
  action.sa_flags = 0;  // no SA_RESTART: interrupts a wait for the socket, whose loop then goes on
  handle(ipc::kSoftStopSignal, action);
  action = {};
  action.sa_sigaction = on_refused_system_call;
  action.sa_flags = SA_SIGINFO;
  handle(SIGSYS, action);

  action = {};
  action.sa_handler = on_abort;
  for (const int signal : {SIGTRAP, SIGILL}) handle(signal, action);

  std::set_new_handler(on_new_failed);
  std::set_terminate(on_terminate);
}

void settle_memory() {
  if (!std::exchange(state.out_of_memory, false)) return;
  // The memory that a call filled may be the call's own, and free once it has ended. If not, on_collected() finds it
  // used up again.
  state.engine->collect_garbage();
  if (state.out_of_memory) stop(ipc::StopReason::out_of_memory, 0, "", "heap");
  if (std::exchange(state.grace_given, false)) {
    state.engine->isolate()->RemoveNearHeapLimitCallback(on_near_heap_limit, state.engine->heap_limit());
    state.engine->isolate()->AddNearHeapLimitCallback(on_near_heap_limit, nullptr);
  }
}

void end_by_broken_protocol(std::string_view expected) {
  stop(ipc::StopReason::fatal, 0, "", "expected that " + std::string(expected), ipc::kProtocolBrokenStatus);
}

bool soft_stop_requested() { return state.soft_stop; }

void end_between_stretches() { stop(ipc::StopReason::soft_stop, 0, "", ipc::kBetweenStretches); }

}  // namespace holdfast::worker
