// Memory for frames. Fresh memory costs a page fault for each 4 KB of it, which for a payload of a megabyte takes
// several times as long as copying it. So the memory of large frames is kept for later ones, up to a bound. Each
// thread keeps its own; nothing is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace holdfast::ipc {

// Cap'n Proto's unit: all segments are made of 8-byte words.
using Word = std::uint64_t;

// Keeps bytes that lie elsewhere alive for as long as it exists; null: it keeps none.
using BytesOwner = std::shared_ptr<const void>;

class LargeMemory {
 public:
  struct GiveBack {
    std::size_t words = 0;
    void operator()(Word* memory) const;
  };
  using Words = std::unique_ptr<Word[], GiveBack>;

  // Takes a block of `words`, not initialized; its deleter gives it back. Blocks below 256 KiB are never kept.
  static Words take(std::size_t words);

  // Sets how many bytes of unused blocks this thread keeps at most; the default is 12 MiB. Frees all blocks that are
  // kept now. With 0, every block is freed as soon as it is given back.
  static void keep(std::size_t bytes);

  static std::size_t kept_bytes();

  // Frees all blocks that this thread keeps.
  static void release_kept();

  // Frees the kept blocks that were not used at any time since the last call of this function.
  static void release_unused();
};

}  // namespace holdfast::ipc
