// Preloaded into a worker's program: replaces the C library's functions for memory protection keys, and answers as on a
// processor that has keys (KEYS_PRESENT) or as on one that has none. pkey_mprotect makes the system call in either
// case; the sandbox must never see it.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace {
constexpr int kKey = 1;

[[maybe_unused]] int no_keys() {
  errno = ENOSYS;
  return -1;
}
}  // namespace

#if KEYS_PRESENT
extern "C" int pkey_alloc(unsigned, unsigned) { return kKey; }
extern "C" int pkey_free(int) { return 0; }
extern "C" int pkey_get(int) { return 0; }
extern "C" int pkey_set(int, unsigned) { return 0; }
#else
extern "C" int pkey_alloc(unsigned, unsigned) { return no_keys(); }
extern "C" int pkey_free(int) { return no_keys(); }
extern "C" int pkey_get(int) { return no_keys(); }
extern "C" int pkey_set(int, unsigned) { return no_keys(); }
#endif
extern "C" int pkey_mprotect(void* address, size_t length, int protection, int key) {
  return static_cast<int>(::syscall(SYS_pkey_mprotect, address, length, protection, key));
}
