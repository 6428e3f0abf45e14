// holdfast-worker as it would be if V8 had a hole: modules can make system calls of their own, write to memory and find
// the shared page. Everything else, the locks included, is the production worker's code.
#include <cerrno>
#include <cstdio>
#include <span>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/syscall.h>

#include "worker/launcher.h"
#include "worker/zygote.h"

namespace {

using Arguments = v8::FunctionCallbackInfo<v8::Value>;

// The zygote maps a worker's shared page and forks it next: what is noted here is, in the child, its own page.
void* last_shared_mapping = nullptr;

std::uint64_t to_word(v8::Local<v8::Value> value) {
  const auto context = v8::Isolate::GetCurrent()->GetCurrentContext();
  if (value->IsBigInt()) return value.As<v8::BigInt>()->Uint64Value();
  if (value->IsArrayBuffer()) return reinterpret_cast<std::uint64_t>(value.As<v8::ArrayBuffer>()->Data());
  return static_cast<std::uint64_t>(value->IntegerValue(context).FromMaybe(0));
}

// systemCall(number, ...arguments): its result, or the negative errno. An ArrayBuffer stands for its address.
void system_call(const Arguments& arguments) {
  std::uint64_t words[7] = {};
  for (int i = 0; i < 7 && i < arguments.Length(); ++i) words[i] = to_word(arguments[i]);
  const long result =
      ::syscall(static_cast<long>(words[0]), words[1], words[2], words[3], words[4], words[5], words[6]);
  arguments.GetReturnValue().Set(static_cast<double>(result < 0 ? -errno : result));
}

#ifdef __x86_64__
// oldSystemCall(number): by the way that 32-bit programs take.
void old_system_call(const Arguments& arguments) {
  long result = static_cast<long>(to_word(arguments[0]));
  asm volatile("int $0x80" : "+a"(result) : "b"(0), "c"(0), "d"(0) : "memory");
  arguments.GetReturnValue().Set(static_cast<double>(result));
}
#endif

// write(address, value): 8 bytes.
void write_word(const Arguments& arguments) {
  *reinterpret_cast<volatile std::uint64_t*>(to_word(arguments[0])) = to_word(arguments[1]);
}

// spin(): for ever, in code that V8 cannot interrupt. With an address, writes a rising number to it meanwhile.
void spin(const Arguments& arguments) {
  volatile std::uint64_t nowhere = 0;
  auto* at = arguments.Length() > 0 ? reinterpret_cast<volatile std::uint64_t*>(to_word(arguments[0])) : &nowhere;
  for (std::uint64_t count = 1;; ++count) *at = count;
}

// sharedPage(): its address.
void shared_page(const Arguments& arguments) {
  arguments.GetReturnValue().Set(
      v8::BigInt::NewFromUnsigned(arguments.GetIsolate(), reinterpret_cast<std::uint64_t>(last_shared_mapping)));
}

void add_attacks(v8::Isolate* isolate, v8::Local<v8::Context> context) {
  const auto add = [&](const char* name, v8::FunctionCallback callback) {
    context->Global()
        ->Set(context, v8::String::NewFromUtf8(isolate, name).ToLocalChecked(),
              v8::Function::New(context, callback).ToLocalChecked())
        .Check();
  };
  add("systemCall", system_call);
#ifdef __x86_64__
  add("oldSystemCall", old_system_call);
#endif
  add("writeWord", write_word);
  add("spin", spin);
  add("sharedPage", shared_page);
}

}  // namespace

// In the place of the C library's; with a 64-bit off_t the same function has two names.
extern "C" void* mmap(void* address, size_t length, int protection, int flags, int fd, off_t offset) noexcept {
  const long result = ::syscall(SYS_mmap, address, length, protection, flags, fd, offset);
  if (result == -1) return MAP_FAILED;
  if ((flags & MAP_TYPE) == MAP_SHARED) last_shared_mapping = reinterpret_cast<void*>(result);
  return reinterpret_cast<void*>(result);
}

int main(int argc, char** argv) {
  auto options = holdfast::worker::parse_zygote_options(std::span(argv + 1, argv + argc));
  if (!options) return 2;
  options->extend_context = add_attacks;
  if (options->inside) holdfast::worker::run_zygote(*options);
  return holdfast::worker::run_launcher(*options, argv);
}
