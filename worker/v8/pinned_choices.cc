#include "worker/v8/pinned_choices.h"

#include <v8.h>

namespace holdfast::worker {
namespace {

using Where = PinnedFlag::Where;

constexpr PinnedFlag kPinned[] = {
    // --- what the processor or the host's memory would decide ---
    {"--no-wasm-memory-protection-keys",
     "where the processor has protection keys (pku, ospke), V8 would make WebAssembly's code writable by "
     "pkey_mprotect(2), which the table refuses; without keys it does so by mprotect(2)"},
    {"--no-memory-protection-keys", "V8 12 and later would do the same for all compiled code"},
    {"--no-huge-max-old-generation-size",
     "on hosts with 16 GB and more the heap would be larger than elsewhere; the module's setting is the limit"},
    {"--no-short-builtin-calls",
     "where the heap may have 4 GB, V8 would copy its built-in functions to where the compiled code is; the zygote "
     "pre-faults those of the library (worker/process/code_pages.h)"},

    // --- threads and shared memory ---
    {"--single-threaded", "no thread is started on any processor: fork(2) copies only the calling thread"},
    {"--no-harmony-sharedarraybuffer", "a counter in shared memory would be a clock"},
    {"--no-experimental-wasm-threads", "WebAssembly must not provide shared memory either"},

    // --- memory ---
    {"--stack-size=900", "kilobytes; well below RLIMIT_STACK, so that overflow is a RangeError and not a crash"},
    {"--no-write-code-using-rwx", "compiled code is writable or executable, never both"},
    {"--wasm-write-protect-code-memory", "the same for WebAssembly's code"},
    {"--scavenge-task-trigger=5",
     "percent of a semi-space in use at which V8 collects the young generation between two calls. By default, V8 "
     "fills it first, and the worker then has a copy of its own of each page"},

    // --- the end ---
    {"--hard-abort", "V8's own failures end in an illegal instruction instead of calls that the filter refuses"},

    // --- the strict profile ---
    {"--jitless", "V8 generates no machine code; implies --regexp-interpret-all", Where::jitless},
    {"--no-expose-wasm", "WebAssembly needs a compiler; without this flag V8 would turn it off with a warning",
     Where::jitless},
};

// What needs no row:
// - The environment. The broker starts the worker's program with none (supervisor/broker/broker_process.cc), and the
// zygote
//   wipes it before V8 starts. So GLIBC_TUNABLES and MALLOC_* (malloc(3) in huge pages makes system calls that the
//   table refuses), OPENSSL_ia32cap, OPENSSL_MODULES, ICU_DATA, LANG and NODE_* reach no worker. TZ is set to UTC;
//   libcrypto is started without its configuration file (worker/crypto/library.cc). V8 reads no variable.
// - Huge pages. V8's heap is mapped by worker/v8/page_allocator.h, by the same calls everywhere, and asks for none.
// - The processor's instructions that V8, libcrypto and zlib use (SSE4.1, AVX, BMI, AES, SHA): no system call depends
//   on them. Out-of-bounds accesses of WebAssembly are checked in its code: V8's handler of SIGSEGV is not in use.

}  // namespace

std::span<const PinnedFlag> pinned_flags() { return kPinned; }

void pin_flags(Where where) {
  for (const PinnedFlag& row : kPinned) {
    if (row.where == Where::everywhere || row.where == where) v8::V8::SetFlagsFromString(row.flag);
  }
}

}  // namespace holdfast::worker
