// pthread_once(3) without a system call. The C library's wakes those who may wait for its end, whether or not there are
// any, with futex(2), which the sandbox's filter does not grant; and libcrypto makes much of what it has at its first
// use, wherever that is.
#include "worker/crypto/once.h"

#include <atomic>

#include <pthread.h>
#include <sched.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)

namespace {

enum State : pthread_once_t { fresh = PTHREAD_ONCE_INIT, running, done };

}  // namespace

// There is one thread in a worker; what runs beside others waits its turn.
extern "C" int pthread_once(pthread_once_t* control, void (*routine)()) {
  std::atomic_ref<pthread_once_t> state(*control);
  while (state.load(std::memory_order_acquire) != done) {
    pthread_once_t expected = fresh;
    if (!state.compare_exchange_strong(expected, running, std::memory_order_acquire)) {
      if (expected == running) ::sched_yield();
      continue;
    }
    try {
      routine();
    } catch (...) {
      state.store(fresh, std::memory_order_release);
      throw;
    }
    state.store(done, std::memory_order_release);
  }
  return 0;
}

#endif

void holdfast::worker::crypto::use_own_once() {}
