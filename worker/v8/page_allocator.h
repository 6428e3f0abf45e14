// V8's memory, mapped so that it survives fork(2). V8's own allocator marks its mappings MADV_DONTFORK, which would
// leave a forked worker without a heap.
#pragma once

#include <v8-platform.h>

#include <cstdint>
#include <map>

#include "worker/plain/memory_account.h"

namespace holdfast::worker {

// How much address space all WebAssembly memories may reserve together. For a memory that does not declare a maximum,
// V8 asks for four gigabytes, then three, two and one (and a little more), and then only for the initial size; a
// memory with only that is copied each time it grows. This bound lets a module's first memory grow in place, and
// leaves room for others.
constexpr std::uint64_t kMaxReservedBytes = std::uint64_t{1280} << 20;

class ForkablePageAllocator final : public v8::PageAllocator {
 public:
  ForkablePageAllocator();

  // What all pages are charged to. Refuses pages that do not fit. Where V8 does not expect a refusal, the process
  // ends (native_memory.h).
  MemoryAccount& account() { return account_; }

  size_t AllocatePageSize() override { return page_size_; }
  size_t CommitPageSize() override { return page_size_; }
  // Does nothing: the layout is random already.
  void SetRandomMmapSeed(int64_t) override {}
  // Where the next page of the heap goes. The heap begins at a random address, and its pages follow one another from
  // there, as in V8's own pointer cages. To the kernel they are then one mapping with few page tables, which every
  // fork copies.
  void* GetRandomMmapAddr() override;
  void* AllocatePages(void* hint, size_t length, size_t alignment, Permission permission) override;
  bool FreePages(void* address, size_t length) override;
  bool ReleasePages(void* address, size_t length, size_t new_length) override;
  bool SetPermissions(void* address, size_t length, Permission permission) override;
  bool DiscardSystemPages(void* address, size_t length) override;
  bool DecommitPages(void* address, size_t length) override;

 private:
  const size_t page_size_;
  std::uintptr_t next_ = 0;  // where the next page of the heap goes
  MemoryAccount account_;
  // Where each WebAssembly memory begins, and how much it has reserved. V8 reserves each in one piece, anywhere, and
  // makes more of it accessible as it grows. For all other pages V8 asks for an address.
  std::map<std::uintptr_t, std::uint64_t> growable_;
  std::uint64_t reserved_ = 0;
};

}  // namespace holdfast::worker
