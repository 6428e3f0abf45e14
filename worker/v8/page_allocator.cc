#include "worker/v8/page_allocator.h"

#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "worker/v8/native_memory.h"

namespace holdfast::worker {
namespace {

int protection(v8::PageAllocator::Permission permission) {
  switch (permission) {
    case v8::PageAllocator::kNoAccess:
    case v8::PageAllocator::kNoAccessWillJitLater:
      return PROT_NONE;
    case v8::PageAllocator::kRead:
      return PROT_READ;
    // Never writable and executable: V8 asks for this to write WebAssembly's code, and sets kReadExecute before it
    // runs.
    case v8::PageAllocator::kReadWriteExecute:
    case v8::PageAllocator::kReadWrite:
      return PROT_READ | PROT_WRITE;
    case v8::PageAllocator::kReadExecute:
      return PROT_READ | PROT_EXEC;
  }
  return PROT_NONE;
}

bool is_accessible(v8::PageAllocator::Permission permission) { return protection(permission) != PROT_NONE; }

std::uintptr_t address_of(const void* pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

using Refusal = MemoryAccount::Refusal;

// V8's own page size; V8 aligns what it asks for to it.
constexpr std::uintptr_t kHeapPageBytes = std::uintptr_t{256} << 10;

constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;

}  // namespace

ForkablePageAllocator::ForkablePageAllocator() : page_size_(static_cast<size_t>(::sysconf(_SC_PAGESIZE))) {
  std::uint64_t random = 0;
  (void)!::getrandom(&random, sizeof random, 0);
  // 46 bits: the lower half of user space on x86-64, so that there is always room above.
  next_ = random & 0x3fffffffffff & ~(kHeapPageBytes - 1);
}

void* ForkablePageAllocator::GetRandomMmapAddr() { return reinterpret_cast<void*>(next_); }

void* ForkablePageAllocator::AllocatePages(void* hint, size_t length, size_t alignment, Permission permission) {
  if (is_accessible(permission) && !account_.has_room_for(length, Refusal::fatal)) return nullptr;
  const bool growable = hint == nullptr && !is_accessible(permission);
  if (growable && length > kMaxReservedBytes - reserved_) return nullptr;
  const size_t reserved = length + (alignment > page_size_ ? alignment - page_size_ : 0);
  const auto hinted = address_of(hint) & ~(alignment - 1);
  void* mapped = ::mmap(reinterpret_cast<void*>(hinted), reserved, protection(permission), kFlags, -1, 0);
  if (mapped == MAP_FAILED) return nullptr;
  const auto begin = address_of(mapped);
  const std::uintptr_t aligned = (begin + alignment - 1) & ~(alignment - 1);
  const std::uintptr_t end = begin + reserved;
  if (aligned > begin) ::munmap(mapped, aligned - begin);
  if (end > aligned + length) ::munmap(reinterpret_cast<void*>(aligned + length), end - aligned - length);
  if (is_accessible(permission)) account_.take_pages(aligned, aligned + length);
  if (aligned == next_) next_ = (aligned + length + kHeapPageBytes - 1) & ~(kHeapPageBytes - 1);
  if (growable) {
    growable_.emplace(aligned, length);
    reserved_ += length;
  }
  return reinterpret_cast<void*>(aligned);
}

bool ForkablePageAllocator::FreePages(void* address, size_t length) {
  if (const auto memory = growable_.find(address_of(address)); memory != growable_.end()) {
    reserved_ -= memory->second;
    growable_.erase(memory);
  }
  account_.give_back_pages(address_of(address), address_of(address) + length);
  return ::munmap(address, length) == 0;
}

bool ForkablePageAllocator::ReleasePages(void* address, size_t length, size_t new_length) {
  return FreePages(static_cast<char*>(address) + new_length, length - new_length);
}

bool ForkablePageAllocator::SetPermissions(void* address, size_t length, Permission permission) {
  const std::uintptr_t begin = address_of(address), end = begin + length;
  if (!is_accessible(permission)) {
    if (::mprotect(address, length, protection(permission)) != 0) return false;
    DiscardSystemPages(address, length);
    account_.give_back_pages(begin, end);
    return true;
  }
  // V8 makes its code writable before each collection, and aborts if it cannot. That may fail, because pages that are
  // not writable do not count for RLIMIT_DATA.
  const Refusal refusal = growable_.contains(begin) ? Refusal::expected : Refusal::fatal;
  if (!account_.has_room_for_pages(begin, end, refusal)) return false;
  if (::mprotect(address, length, protection(permission)) != 0) {
    if (account_.has_pages(begin, end)) refuse_memory();
    return false;
  }
  account_.take_pages(begin, end);
  return true;
}

bool ForkablePageAllocator::DiscardSystemPages(void* address, size_t length) {
  return ::madvise(address, length, MADV_DONTNEED) == 0;
}

bool ForkablePageAllocator::DecommitPages(void* address, size_t length) {
  account_.give_back_pages(address_of(address), address_of(address) + length);
  return ::mmap(address, length, PROT_NONE, kFlags | MAP_FIXED, -1, 0) == address;
}

}  // namespace holdfast::worker
