#include "worker/v8/native_memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)

// The sanitizer has a malloc of its own.
void* holdfast::worker::allocate_zeroed_or_null(std::size_t bytes) { return std::calloc(bytes == 0 ? 1 : bytes, 1); }
void* holdfast::worker::allocate_or_null(std::size_t bytes) { return std::malloc(bytes == 0 ? 1 : bytes); }

void holdfast::worker::use_up_free_blocks() {}
void holdfast::worker::give_back_free_pages() {}

#else

// glibc's own functions, which it keeps for programs that replace the standard ones (Replacing malloc, in its
// manual).
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);
}

namespace {

// Much less than the size from which glibc maps a block by itself (M_MMAP_THRESHOLD in mallopt(3)).
constexpr std::size_t kMappedBytes = 64 << 10;

// For a size of 0, null is no failure.
void* checked(void* allocated, std::size_t size) {
  if (allocated == nullptr && size != 0) holdfast::worker::refuse_memory();
  return allocated;
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return checked(__libc_malloc(size), size); }

void* calloc(std::size_t count, std::size_t size) { return checked(__libc_calloc(count, size), count && size); }

// For a large block, the C library would call mremap(2), which the filter refuses.
void* realloc(void* old, std::size_t size) {
  const std::size_t held = old == nullptr ? 0 : malloc_usable_size(old);
  if (held < kMappedBytes || size == 0) return checked(__libc_realloc(old, size), size);
  void* moved = malloc(size);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, old, std::min(held, size));
  std::free(old);
  return moved;
}

void* memalign(std::size_t alignment, std::size_t size) { return checked(__libc_memalign(alignment, size), size); }

void* aligned_alloc(std::size_t alignment, std::size_t size) { return memalign(alignment, size); }

int posix_memalign(void** into, std::size_t alignment, std::size_t size) {
  void* allocated = memalign(alignment, size);
  if (allocated == nullptr) return ENOMEM;
  *into = allocated;
  return 0;
}

}  // extern "C"

void* holdfast::worker::allocate_zeroed_or_null(std::size_t bytes) { return __libc_calloc(bytes == 0 ? 1 : bytes, 1); }

void* holdfast::worker::allocate_or_null(std::size_t bytes) { return __libc_malloc(bytes == 0 ? 1 : bytes); }

// Goes from the largest to the smallest size of a block, because glibc cuts larger ones when none fits. A block from
// beyond the last one in use shows that no free block of this size is left.
void holdfast::worker::use_up_free_blocks() {
  constexpr std::size_t kSizeStep = 16;
  constexpr std::size_t kSmallest = 24;
  const char* const rest = static_cast<const char*>(::sbrk(0)) - ::mallinfo2().keepcost;
  for (std::size_t size = kMappedBytes + kSmallest; size >= kSmallest; size -= kSizeStep) {
    for (;;) {
      void* block = __libc_malloc(size);
      if (block == nullptr) break;
      if (std::less<>{}(static_cast<const char*>(block), rest)) continue;
      std::free(block);
      break;
    }
  }
}

void holdfast::worker::give_back_free_pages() { ::malloc_trim(0); }

#endif

void holdfast::worker::refuse_memory() {
  if (const std::new_handler handler = std::get_new_handler()) handler();
}
