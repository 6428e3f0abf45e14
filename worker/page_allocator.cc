#include "worker/page_allocator.h"

#include <new>
#include <unistd.h>

#include <sys/mman.h>
#include <sys/random.h>

namespace holdfast::worker {
namespace {

int protection(v8::PageAllocator::Permission permission) {
  switch (permission) {
    case v8::PageAllocator::kNoAccess:
    case v8::PageAllocator::kNoAccessWillJitLater:
      return PROT_NONE;
    case v8::PageAllocator::kRead:
      return PROT_READ;
    // Never both: WebAssembly's code is opened so for writing, and set to kReadExecute again before it runs.
    case v8::PageAllocator::kReadWriteExecute:
    case v8::PageAllocator::kReadWrite:
      return PROT_READ | PROT_WRITE;
    case v8::PageAllocator::kReadExecute:
      return PROT_READ | PROT_EXEC;
  }
  return PROT_NONE;
}

constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

// Whether the process may have this much more data. Where pages that are mapped already become writable, Linux holds
// them against RLIMIT_DATA only if, counted a second time, they fit into RLIMIT_AS (mprotect_fixup() in mm/mprotect.c):
// one string of half a gigabyte would pass a limit of 100 MB. A new mapping is held against both, always.
bool may_become_data(size_t length) {
  void* probe = ::mmap(nullptr, length, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  return probe != MAP_FAILED && ::munmap(probe, length) == 0;
}

}  // namespace

ForkablePageAllocator::ForkablePageAllocator() : page_size_(static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
  std::uint64_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) == sizeof seed) random_.seed(seed);
}

void ForkablePageAllocator::SetRandomMmapSeed(int64_t seed) {
  if (seed != 0) random_.seed(static_cast<std::uint64_t>(seed));
}

void* ForkablePageAllocator::GetRandomMmapAddr() {
  // 46 bits: the lower half of user space on x86-64, so that there is always room above.
  return reinterpret_cast<void*>(random_() & 0x3ffffffff000);
}

void* ForkablePageAllocator::AllocatePages(void* hint, size_t length, size_t alignment, Permission permission) {
  const size_t reserved = length + (alignment > page_size_ ? alignment - page_size_ : 0);
  const auto hinted = reinterpret_cast<std::uintptr_t>(hint) & ~(alignment - 1);
  void* mapped = ::mmap(reinterpret_cast<void*>(hinted), reserved, protection(permission), kFlags, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped);
  const std::uintptr_t aligned = (begin + alignment - 1) & ~(alignment - 1);
  const std::uintptr_t end = begin + reserved;
  if (aligned > begin) ::munmap(mapped, aligned - begin);
  if (end > aligned + length) ::munmap(reinterpret_cast<void*>(aligned + length), end - aligned - length);
  return reinterpret_cast<void*>(aligned);
}

bool ForkablePageAllocator::FreePages(void* address, size_t length) { return ::munmap(address, length) == 0; }

bool ForkablePageAllocator::ReleasePages(void* address, size_t length, size_t new_length) {
  return ::munmap(static_cast<char*>(address) + new_length, length - new_length) == 0;
}

bool ForkablePageAllocator::SetPermissions(void* address, size_t length, Permission permission) {
  const int wanted = protection(permission);
  const bool is_code = code_.contains(address);
  if ((wanted & PROT_WRITE) != 0 && !is_code && !may_become_data(length)) return false;
  if (::mprotect(address, length, wanted) != 0) {
    // V8 makes its code writable for a moment, to change it, and takes no refusal for that: it would abort.
    if (is_code && std::get_new_handler() != nullptr) std::get_new_handler()();
    return false;
  }
  if ((wanted & PROT_EXEC) != 0) code_.insert(address);
  if (wanted == PROT_NONE) code_.erase(address);
  if (permission == kNoAccess) DiscardSystemPages(address, length);
  return true;
}

bool ForkablePageAllocator::DiscardSystemPages(void* address, size_t length) {
  return ::madvise(address, length, MADV_DONTNEED) == 0;
}

bool ForkablePageAllocator::DecommitPages(void* address, size_t length) {
  return ::mmap(address, length, PROT_NONE, kFlags | MAP_FIXED, -1, 0) == address;
}

}  // namespace holdfast::worker
