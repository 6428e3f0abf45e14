// V8's memory, mapped so that it survives fork(2). V8's own allocator marks its mappings MADV_DONTFORK, which would
// leave a forked worker without a heap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <unordered_set>

#include <v8-platform.h>

namespace holdfast::worker {

class ForkablePageAllocator final : public v8::PageAllocator {
 public:
  ForkablePageAllocator();

  size_t AllocatePageSize() override { return page_size_; }
  size_t CommitPageSize() override { return page_size_; }
  void SetRandomMmapSeed(int64_t seed) override;
  void* GetRandomMmapAddr() override;
  void* AllocatePages(void* hint, size_t length, size_t alignment, Permission permission) override;
  bool FreePages(void* address, size_t length) override;
  bool ReleasePages(void* address, size_t length, size_t new_length) override;
  bool SetPermissions(void* address, size_t length, Permission permission) override;
  bool DiscardSystemPages(void* address, size_t length) override;
  bool DecommitPages(void* address, size_t length) override;

 private:
  const size_t page_size_;
  std::mt19937_64 random_;
  std::unordered_set<void*> code_;  // where the ranges begin that were made executable
};

}  // namespace holdfast::worker
