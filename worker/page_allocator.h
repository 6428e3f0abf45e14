// V8's memory, mapped so that it survives fork(2). V8's own allocator marks its mappings MADV_DONTFORK, which would
// leave a forked worker without a heap.
#pragma once

#include <cstdint>
#include <map>

#include <v8-platform.h>

#include "worker/memory_account.h"

namespace holdfast::worker {

// What all memories of WebAssembly may reserve together. For each that does not say how far it will grow, V8 asks for
// four gigabytes, then three, two and one (and a little more), then for what it has at first: such a one is copied each
// time that it grows. This lets a module's first memory grow in place, and leaves room for others.
constexpr std::uint64_t kMaxReservedBytes = std::uint64_t{1280} << 20;

class ForkablePageAllocator final : public v8::PageAllocator {
 public:
  ForkablePageAllocator();

  // Refuses what does not fit into it. Where V8 does not expect to be refused, the process ends (native_memory.h).
  MemoryAccount& account() { return account_; }

  size_t AllocatePageSize() override { return page_size_; }
  size_t CommitPageSize() override { return page_size_; }
  // Does nothing: the layout is random as it is.
  void SetRandomMmapSeed(int64_t) override {}
  // Random is where the heap begins. Its pages lie one after the other from there, as they do in V8's own pointer
  // cages: so they are one mapping to the kernel, with few page tables, which every fork has to copy.
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
  // Where WebAssembly's memories begin, and what each has reserved: V8 reserves each in one piece, anywhere, and makes
  // more of it accessible as it grows. For all else V8 says where it wants it.
  std::map<std::uintptr_t, std::uint64_t> growable_;
  std::uint64_t reserved_ = 0;
};

}  // namespace holdfast::worker
