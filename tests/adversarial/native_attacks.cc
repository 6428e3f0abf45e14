#include "tests/adversarial/native_attacks.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "ipc/shared_page.h"

// The program's own data, as the linker lays it out.
extern "C" char __data_start;
extern "C" char _end;

namespace holdfast::test {
namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

// The zygote maps a worker's shared page and then forks the worker, so in the child this is its own page.
void* last_shared_mapping = nullptr;

// Set while tryCall() waits for the outcome of its call.
[[maybe_unused]] volatile bool surviving = false;
[[maybe_unused]] sigjmp_buf after_refusal;

std::uint64_t to_word(v8::Local<v8::Value> value) {
  const auto context = v8::Isolate::GetCurrent()->GetCurrentContext();
  if (value->IsBigInt()) return value.As<v8::BigInt>()->Uint64Value();
  if (value->IsArrayBuffer()) return reinterpret_cast<std::uint64_t>(value.As<v8::ArrayBuffer>()->Data());
  return static_cast<std::uint64_t>(value->IntegerValue(context).FromMaybe(0));
}

struct Words {
  explicit Words(const Arguments& arguments) {
    for (int i = 0; i < 7 && i < arguments.Length(); ++i) word[i] = to_word(arguments[i]);
  }
  std::uint64_t word[7] = {};
};

void answer(const Arguments& arguments, std::uint64_t word) {
  arguments.GetReturnValue().Set(v8::BigInt::NewFromUnsigned(arguments.GetIsolate(), word));
}

void answer(const Arguments& arguments, const std::string& text) {
  arguments.GetReturnValue().Set(v8::String::NewFromUtf8(arguments.GetIsolate(), text.c_str()).ToLocalChecked());
}

[[noreturn]] void spin_for_ever() {
  for (;;) asm volatile("");
}

#ifdef __x86_64__

// Does not use the C library's syscall(3), so that all 64 bits of the number's register are set.
long make_call(const Words& words) {
  long result = static_cast<long>(words.word[0]);
  register std::uint64_t fourth asm("r10") = words.word[4];
  register std::uint64_t fifth asm("r8") = words.word[5];
  register std::uint64_t sixth asm("r9") = words.word[6];
  asm volatile("syscall"
               : "+a"(result)
               : "D"(words.word[1]), "S"(words.word[2]), "d"(words.word[3]), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
  return result;
}

constexpr std::uint64_t kUserCode = 0x33;
constexpr std::uint64_t kUserStack = 0x2b;

struct ForgedReturn {
  std::uint64_t blocked_signals = 0;
  std::uint64_t flags = 0x202;  // interrupts on, as usual
  std::uint64_t selectors = kUserCode | kUserStack << 48;
  std::uint64_t address = 0;
  std::uint64_t floating_point_state = 0;
};

[[noreturn]] void forge_return(const ForgedReturn& wanted) {
  constexpr std::uint64_t kStrictStackSelector = 0x2 | 0x4;  // UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS
  alignas(64) static ucontext_t frame;
  alignas(64) static char stack[64 << 10];
  frame = {};
  frame.uc_flags = kStrictStackSelector;
  greg_t* const registers = frame.uc_mcontext.gregs;
  registers[REG_RIP] = static_cast<greg_t>(wanted.address);
  // Aligned as at a function's first instruction. For 32-bit code the address is below 4 GB if the stack's address can
  // be chosen at all.
  registers[REG_RSP] = reinterpret_cast<greg_t>(stack + sizeof stack - 8);
  registers[REG_EFL] = static_cast<greg_t>(wanted.flags);
  registers[REG_CSGSFS] = static_cast<greg_t>(wanted.selectors);
  frame.uc_mcontext.fpregs = reinterpret_cast<fpregset_t>(wanted.floating_point_state);
  std::memcpy(&frame.uc_sigmask, &wanted.blocked_signals, sizeof wanted.blocked_signals);
  asm volatile("mov %0, %%rsp; syscall; ud2" : : "r"(&frame), "a"(SYS_rt_sigreturn) : "memory");
  __builtin_unreachable();
}

[[noreturn]] void leave_handler() { siglongjmp(after_refusal, 1); }

void old_system_call(const Arguments& arguments) {
  const Words words(arguments);
  long result = static_cast<long>(words.word[0]);
  asm volatile("int $0x80"
               : "+a"(result)
               : "b"(words.word[1]), "c"(words.word[2]), "d"(words.word[3]), "S"(words.word[4]), "D"(words.word[5])
               : "memory");
  arguments.GetReturnValue().Set(static_cast<double>(result));
}

// The kernel reads the sixth argument from where EBP points to, and returns to an address of its own.
void sysenter(const Arguments& arguments) {
  const Words words(arguments);
  asm volatile("mov %1, %%rbp; sysenter; ud2" : : "a"(words.word[0]), "r"(words.word[1]) : "memory");
}

void forge_return_now(const Arguments& arguments) {
  const Words words(arguments);
  ForgedReturn wanted;
  wanted.blocked_signals = words.word[0];
  wanted.flags |= words.word[1];
  if (words.word[2] != 0) wanted.selectors = words.word[2];
  wanted.address = words.word[3] != 0 ? words.word[3] : reinterpret_cast<std::uint64_t>(&spin_for_ever);
  wanted.floating_point_state = words.word[4];
  forge_return(wanted);
}

// Blocks signals by a forged return, and comes back to the caller.
void block_signals(const Arguments& arguments) {
  if (sigsetjmp(after_refusal, 0) != 0) return;
  ForgedReturn wanted;
  wanted.blocked_signals = to_word(arguments[0]);
  wanted.address = reinterpret_cast<std::uint64_t>(&leave_handler);
  forge_return(wanted);
}

void fault(const Arguments& arguments) {
  constexpr std::uint64_t kTrap = 0x100, kAlignmentCheck = 0x40000;
  v8::String::Utf8Value name(arguments.GetIsolate(), arguments[0]);
  const std::string_view kind(*name);
  std::uint64_t words[2] = {};
  if (kind == "illegal instruction") asm volatile("ud2");
  if (kind == "breakpoint") asm volatile("int3");
  if (kind == "single step") asm volatile("pushf; orq %0, (%%rsp); popf; nop" : : "ri"(kTrap) : "cc", "memory");
  if (kind == "division by zero") asm volatile("div %1" : : "a"(1), "r"(0), "d"(0) : "cc");
  if (kind == "misaligned access") {
    const char* odd = reinterpret_cast<const char*>(words) + 1;
    asm volatile("pushf; orq %0, (%%rsp); popf; mov (%1), %%rax" : : "ri"(kAlignmentCheck), "r"(odd) : "rax", "memory");
  }
  if (kind == "privileged instruction") asm volatile("hlt");
  if (kind == "port") asm volatile("inb $0x80, %%al" : : : "rax");
  if (kind == "non-canonical address") *reinterpret_cast<volatile char*>(std::uint64_t{1} << 60) = 1;
  if (kind == "kernel address") *reinterpret_cast<volatile char*>(~std::uint64_t{0} << 30) = 1;
}

void overflow_stack(const Arguments&) { asm volatile("1: push %rax; jmp 1b"); }

void try_call(const Arguments& arguments) {
  const Words words(arguments);
  if (sigsetjmp(after_refusal, 0) != 0) {
    const auto* page = static_cast<const ipc::SharedPage*>(last_shared_mapping);
    const auto number = static_cast<std::int32_t>(page->refused_system_call.load() - 1);
    return answer(arguments, "refused:" + std::to_string(number));
  }
  surviving = true;
  const long result = make_call(words);
  surviving = false;
  answer(arguments, std::to_string(result));
}

#else

long make_call(const Words& words) {
  const auto& word = words.word;
  const long result = ::syscall(static_cast<long>(word[0]), word[1], word[2], word[3], word[4], word[5], word[6]);
  return result < 0 ? -errno : result;
}

#endif

void system_call(const Arguments& arguments) {
  arguments.GetReturnValue().Set(static_cast<double>(make_call(Words(arguments))));
}

void as_word(const Arguments& arguments) { answer(arguments, to_word(arguments[0])); }

void read_word(const Arguments& arguments) {
  answer(arguments, *reinterpret_cast<volatile std::uint64_t*>(to_word(arguments[0])));
}

void write_word(const Arguments& arguments) {
  *reinterpret_cast<volatile std::uint64_t*>(to_word(arguments[0])) = to_word(arguments[1]);
}

void touch(const Arguments& arguments) {
  const Words words(arguments);
  for (std::uint64_t offset = 0; offset < words.word[1]; offset += 4096) {
    *reinterpret_cast<volatile std::uint64_t*>(words.word[0] + offset) = 1;
  }
}

void replace_words(const Arguments& arguments) {
  const std::uint64_t old = to_word(arguments[0]), value = to_word(arguments[1]);
  double count = 0;
  auto* const begin = reinterpret_cast<std::uint64_t*>((reinterpret_cast<std::uintptr_t>(&__data_start) + 7) & ~7UL);
  for (volatile std::uint64_t* at = begin; at + 1 <= reinterpret_cast<std::uint64_t*>(&_end); ++at) {
    if (*at != old || at == reinterpret_cast<std::uint64_t*>(&last_shared_mapping)) continue;
    *at = value;
    ++count;
  }
  arguments.GetReturnValue().Set(count);
}

// Overwrites the program's data, and does not return to JavaScript, which may depend on the old data.
void scribble(const Arguments& arguments) {
  const std::uint64_t value = to_word(arguments[0]);
  auto* const begin = reinterpret_cast<std::uint64_t*>((reinterpret_cast<std::uintptr_t>(&__data_start) + 7) & ~7UL);
  for (volatile std::uint64_t* at = begin; at + 1 <= reinterpret_cast<std::uint64_t*>(&_end); ++at) *at = value;
  spin_for_ever();
}

void jump(const Arguments& arguments) {
  const Words words(arguments);
  const auto function = reinterpret_cast<long (*)(std::uint64_t)>(words.word[0]);
  arguments.GetReturnValue().Set(static_cast<double>(function(words.word[1])));
}

void spin(const Arguments& arguments) {
  volatile std::uint64_t nowhere = 0;
  auto* at = arguments.Length() > 0 ? reinterpret_cast<volatile std::uint64_t*>(to_word(arguments[0])) : &nowhere;
  for (std::uint64_t count = 1;; ++count) *at = count;
}

void shared_page(const Arguments& arguments) {
  answer(arguments, reinterpret_cast<std::uint64_t>(last_shared_mapping));
}
void own_code(const Arguments& arguments) { answer(arguments, reinterpret_cast<std::uint64_t>(&spin_for_ever)); }
void engine_code(const Arguments& arguments) {
  answer(arguments, reinterpret_cast<std::uint64_t>(&v8::V8::GetVersion));
}
void own_stack(const Arguments& arguments) {
  answer(arguments, reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)));
}

// The address of the struct rseq that the C library has registered: the kernel writes the thread's CPU there, and reads
// which sequence to restart (rseq(2)).
void restartable_sequences(const Arguments& arguments) {
  answer(arguments,
         reinterpret_cast<std::uint64_t>(__builtin_thread_pointer()) + static_cast<std::uint64_t>(__rseq_offset));
}

}  // namespace

void add_native_attacks(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    context->Global()
        ->Set(context, v8::String::NewFromUtf8(isolate, name).ToLocalChecked(),
              v8::Function::New(context, callback).ToLocalChecked())
        .Check();
  };
  add("systemCall", system_call);
  add("asWord", as_word);
  add("readWord", read_word);
  add("writeWord", write_word);
  add("touch", touch);
  add("replaceWords", replace_words);
  add("jump", jump);
  add("scribble", scribble);
  add("spin", spin);
  add("sharedPage", shared_page);
  add("ownCode", own_code);
  add("engineCode", engine_code);
  add("ownStack", own_stack);
  add("restartableSequences", restartable_sequences);
#ifdef __x86_64__
  add("tryCall", try_call);
  add("oldSystemCall", old_system_call);
  add("sysenter", sysenter);
  add("forgeReturn", forge_return_now);
  add("blockSignals", block_signals);
  add("fault", fault);
  add("overflowStack", overflow_stack);
#endif
}

}  // namespace holdfast::test

// Replaces the C library's mmap. With a 64-bit off_t the same function has two names.
extern "C" void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  const long result = ::syscall(SYS_mmap, address, length, protection, flags, fd, offset);
  if (result == -1) return MAP_FAILED;
  if ((flags & MAP_TYPE) == MAP_SHARED) holdfast::test::last_shared_mapping = reinterpret_cast<void*>(result);
  return reinterpret_cast<void*>(result);
}

#ifdef __x86_64__
namespace holdfast::test {
namespace {

void (*handler_of_refusals)(int, siginfo_t*, void*) = nullptr;

// Stands for native code that keeps the SIGSYS handler from ending the process, which it cannot do in the production
// worker. It leaves the handler by a forged rt_sigreturn(2), so that the signal is delivered again the next time.
void survive_refusal(int signal, siginfo_t* info, void* context) {
  if (std::exchange(surviving, false)) {
    const auto number = static_cast<std::uint32_t>(info->si_syscall);
    static_cast<ipc::SharedPage*>(last_shared_mapping)->refused_system_call = std::min(number, UINT32_MAX - 1) + 1;
    ForgedReturn wanted;
    wanted.address = reinterpret_cast<std::uint64_t>(&leave_handler);
    forge_return(wanted);
  }
  handler_of_refusals(signal, info, context);
}

}  // namespace
}  // namespace holdfast::test

// Replaces the C library's sigaction.
extern "C" int sigaction(int signal, const struct sigaction* action, struct sigaction* before) noexcept {
  using namespace holdfast::test;
  static const auto real = reinterpret_cast<decltype(&::sigaction)>(::dlsym(RTLD_NEXT, "sigaction"));
  if (signal != SIGSYS || action == nullptr || (action->sa_flags & SA_SIGINFO) == 0)
    return real(signal, action, before);
  struct sigaction wrapped = *action;
  handler_of_refusals = action->sa_sigaction;
  wrapped.sa_sigaction = survive_refusal;
  return real(signal, &wrapped, before);
}
#endif

// These make system calls, as on a host whose clock cannot be read without one.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  return static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
}
extern "C" int gettimeofday(timeval* time, void* zone) noexcept {
  return static_cast<int>(::syscall(SYS_gettimeofday, time, zone));
}
