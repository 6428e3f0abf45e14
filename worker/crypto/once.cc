// pthread_once(3) without a system call. The C library's version wakes possible waiters at its end with futex(2),
// even if there are none, and the sandbox's filter does not allow that. libcrypto makes much of its state at its
// first use, which may be in a worker.
#include "worker/crypto/once.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>

#if defined(__GLIBC__) && !defined(__SANITIZE_THREAD__)

namespace {

enum State : pthread_once_t { fresh = PTHREAD_ONCE_INIT, running, done };

}  // namespace

// A worker has only one thread. In a process with more, the others wait for the one that runs the routine.
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
