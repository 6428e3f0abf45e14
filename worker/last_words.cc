#include "worker/last_words.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "ipc/worker_messages.h"
#include "ipc/worker_status.h"
#include "worker/module_host.h"

namespace holdfast::worker {
namespace {

constexpr int kMaxFrames = 32;
constexpr std::size_t kMaxStackBytes = 8 << 10;
// Room in the emergency buffer for the longest stack and a detail.
constexpr std::size_t kEmergencyWords = (kMaxStackBytes + 1024) / sizeof(ipc::Word) + 64;
// What a module that has reached its limit may still allocate on its way to V8's next interrupt check, where its stack
// can be taken.
constexpr std::size_t kHeapGraceBytes = std::size_t{16} << 20;

// Signal handlers and V8's callbacks have no other way to their process's state.
struct State {
  Engine* engine = nullptr;
  Outbox* outbox = nullptr;
  Line* line = nullptr;
  ipc::SharedPage* page = nullptr;
  volatile sig_atomic_t soft_stop = false;  // asked for
  bool out_of_memory = false;               // found, and to be told at the next interrupt check
  bool grace_given = false;
};
State state;

// There may be no memory left when it is needed.
ipc::OutputBuffer& emergency_buffer() {
  static ipc::OutputBuffer buffer = [] {
    ipc::OutputBuffer with_room;
    with_room.begin_frame(kEmergencyWords);
    return with_room;
  }();
  return buffer;
}

[[noreturn]] void stop(ipc::StopReason reason, std::uint64_t call, std::string_view stack, std::string_view detail) {
  if (state.outbox == nullptr) ::_exit(1);  // the zygote, or not a worker yet: whoever waits for it sees it end
  state.outbox->send_all();                 // answers that are ready are answers
  if (state.line != nullptr) state.line->send_some();
  state.outbox->buffer().swap(emergency_buffer());
  encode(state.outbox->buffer(), ipc::Stopped{reason, call, stack, detail});
  state.outbox->send_all();
  ::_exit(0);
}

// Where no JavaScript can be asked: the call that the page names.
std::uint64_t running_call() {
  if (state.page == nullptr) return 0;
  const std::uint64_t running = state.page->running.load(std::memory_order_relaxed);
  return running == ipc::SharedPage::kLoading || running == ipc::SharedPage::kBackground ? 0 : running;
}

// Its frames are nothing that an author could act on.
bool is_of_the_runtime(v8::Isolate* isolate, v8::Local<v8::String> script) {
  if (script.IsEmpty()) return false;
  v8::String::Utf8Value name(isolate, script);
  return *name != nullptr && std::string_view(*name).starts_with("holdfast:");
}

// By the module's source map; it runs no JavaScript, and takes no longer than the supervisor's patience allows.
std::string place_of(v8::Isolate* isolate, v8::Local<v8::StackFrame> frame, const std::string& script) {
  ModuleHost* host = Engine::host_of(isolate);
  if (host != nullptr) {
    if (const auto place = host->original_place_at_once(script, frame->GetLineNumber(), frame->GetColumn())) {
      return place->source + ':' + std::to_string(place->line) + ':' + std::to_string(place->column);
    }
  }
  return script + ':' + std::to_string(frame->GetLineNumber()) + ':' + std::to_string(frame->GetColumn());
}

std::string take_stack(v8::Isolate* isolate) {
  v8::HandleScope scope(isolate);
  v8::Local<v8::StackTrace> trace = v8::StackTrace::CurrentStackTrace(isolate, kMaxFrames, v8::StackTrace::kDetailed);
  std::string text;
  const auto text_of = [&](v8::Local<v8::String> part, const char* otherwise) -> std::string {
    v8::String::Utf8Value utf8(isolate, part);
    return part.IsEmpty() || utf8.length() == 0 ? otherwise : *utf8;
  };
  for (int i = 0; i < trace->GetFrameCount() && text.size() < kMaxStackBytes; ++i) {
    v8::Local<v8::StackFrame> frame = trace->GetFrame(isolate, static_cast<std::uint32_t>(i));
    v8::Local<v8::String> script = frame->GetScriptNameOrSourceURL();
    if (is_of_the_runtime(isolate, script)) continue;
    if (!text.empty()) text += '\n';
    text += "    at ";
    text += text_of(frame->GetFunctionName(), "<anonymous>");
    text += " (" + place_of(isolate, frame, text_of(script, "<unknown>")) + ')';
  }
  text.resize(std::min(text.size(), kMaxStackBytes));
  return text;
}

void on_soft_stop_interrupt(v8::Isolate* isolate, void*) {
  ModuleHost* host = Engine::host_of(isolate);
  stop(ipc::StopReason::soft_stop, host == nullptr ? 0 : host->current_call(), take_stack(isolate), "");
}

void on_out_of_memory_interrupt(v8::Isolate* isolate, void*) {
  if (!state.out_of_memory) return;  // settled meanwhile
  ModuleHost* host = Engine::host_of(isolate);
  stop(ipc::StopReason::out_of_memory, host == nullptr ? 0 : host->current_call(), take_stack(isolate), "heap");
}

// RequestInterrupt takes a recursive lock and puts an entry into a queue whose first block exists from the start, so
// it neither blocks nor allocates here, given that a process asks for a soft stop once.
void on_soft_stop_signal(int) {
  state.soft_stop = true;
  state.engine->isolate()->RequestInterrupt(on_soft_stop_interrupt, nullptr);
}

// exit_group(2), in the instructions themselves: by way of a function, whose address lies in memory, an attacker could
// lead it elsewhere.
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

// The kernel calls this whatever the attacker has done to the process's memory: it keeps the handler's address, and the
// code cannot be changed (sandbox::seal_code()). All that is taken from memory is where to write the number.
void on_refused_system_call(int, siginfo_t* info, void*) {
  std::uint32_t told = static_cast<std::uint32_t>(info->si_syscall) + 1;
  if (told == 0) told = UINT32_MAX;  // native code can call number -1, too
  state.page->refused_system_call.store(told, std::memory_order_release);
  leave(ipc::kRefusedSystemCallStatus);
}

void tell_out_of_memory_soon() {
  if (std::exchange(state.out_of_memory, true)) return;
  state.engine->isolate()->RequestInterrupt(on_out_of_memory_interrupt, nullptr);
}

// After each full collection. V8 would go on to collect, more and more often, until nothing at all is left.
void on_collected(v8::Isolate*, v8::GCType, v8::GCCallbackFlags) {
  if (state.engine->memory_is_used_up()) tell_out_of_memory_soon();
}

// V8 asks before it would end the process for want of heap.
size_t on_near_heap_limit(void*, size_t current, size_t) {
  if (std::exchange(state.grace_given, true)) stop(ipc::StopReason::out_of_memory, running_call(), "", "heap");
  tell_out_of_memory_soon();
  return current + kHeapGraceBytes;
}

void on_v8_out_of_memory(const char* location, bool is_heap) {
  stop(ipc::StopReason::out_of_memory, running_call(), "", is_heap ? "heap" : location);
}

void on_v8_fatal(const char* location, const char* message) {
  const std::string detail = std::string(location == nullptr ? "V8" : location) + ": " + message;
  stop(ipc::StopReason::fatal, running_call(), "", std::string_view(detail).substr(0, 1000));
}

void on_new_failed() { stop(ipc::StopReason::out_of_memory, running_call(), "", "native memory"); }

void on_terminate() { stop(ipc::StopReason::fatal, running_call(), "", "an exception that nobody caught"); }

// What V8 prints before it aborts, which is all that it says of why: standard error is closed, and leads here instead.
char abort_message[1024];

void catch_abort_message() {
  FILE* message = ::fmemopen(abort_message, sizeof abort_message - 1, "w");
  if (message == nullptr) std::abort();
  std::setvbuf(message, nullptr, _IONBF, 0);  // there may be no memory for a buffer when it is needed
  stderr = message;
}

// V8's own checks end in an int3 or ud2 instruction (--hard-abort), and this process sends itself no signals.
[[noreturn]] void on_abort([[maybe_unused]] int signal) {
  std::string_view message = abort_message;
  // An object that V8 cannot have, however much memory there is, where JavaScript has no exception for it.
  if (message.find("invalid size error") != std::string_view::npos) {
    stop(ipc::StopReason::out_of_memory, running_call(), "", "an object too large for V8");
  }
  // Between two lines of marks.
  message.remove_prefix(std::min(message.find_first_not_of("\n#"), message.size()));
  if (!message.empty()) stop(ipc::StopReason::fatal, running_call(), "", message.substr(0, message.find("\n#\n")));
    // Without a message it is what it looks like, and must not be gone on from: the same again ends the process,
    // because the signal is blocked here. (The filter allows neither rt_sigaction(2) nor kill(2).)
#ifdef __x86_64__
  if (signal == SIGTRAP) asm volatile("int3");
#endif
  __builtin_trap();
}

void handle(int signal, struct sigaction action) {
  sigemptyset(&action.sa_mask);
  if (::sigaction(signal, &action, nullptr) != 0) std::abort();
}

}  // namespace

void prepare_last_words(Engine& engine) {
  (void)emergency_buffer();
  catch_abort_message();
  state.engine = &engine;
  engine.isolate()->AddGCEpilogueCallback(on_collected, v8::kGCTypeMarkSweepCompact);
  engine.isolate()->AddNearHeapLimitCallback(on_near_heap_limit, nullptr);
  engine.isolate()->SetOOMErrorHandler(on_v8_out_of_memory);
  engine.isolate()->SetFatalErrorHandler(on_v8_fatal);
  v8::V8::SetFatalMemoryErrorCallback(on_v8_out_of_memory);
}

void install_last_words(Outbox& outbox, Line* line, ipc::SharedPage& page) {
  state.outbox = &outbox;
  state.line = line;
  state.page = &page;

  struct sigaction action = {};
  action.sa_handler = on_soft_stop_signal;
  action.sa_flags = 0;  // no SA_RESTART: a wait for the socket is left, and taken up again by its loop
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
  // What was found full while a call ran may be the call's own, and gone with it. If not, on_collected() finds it
  // again.
  state.engine->collect_garbage();
  if (state.out_of_memory) stop(ipc::StopReason::out_of_memory, 0, "", "heap");
  if (std::exchange(state.grace_given, false)) {
    state.engine->isolate()->RemoveNearHeapLimitCallback(on_near_heap_limit, state.engine->heap_limit());
    state.engine->isolate()->AddNearHeapLimitCallback(on_near_heap_limit, nullptr);
  }
}

bool soft_stop_requested() { return state.soft_stop; }

}  // namespace holdfast::worker
