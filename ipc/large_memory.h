// Memory for frames. Fresh memory costs a page fault for each 4 KB of it, which for a payload of a megabyte is several
// times what it takes to copy it. So what large frames were in is kept for the next ones, up to a bound. Each thread
// has its own; nothing is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace holdfast::ipc {

// Cap'n Proto's unit: all segments are made of 8-byte words.
using Word = std::uint64_t;

// Who keeps bytes in their place while somebody else still needs them; null: nobody does.
using BytesOwner = std::shared_ptr<const void>;

class LargeMemory {
 public:
  struct GiveBack {
    std::size_t words = 0;
    void operator()(Word* memory) const;
  };
  using Words = std::unique_ptr<Word[], GiveBack>;

  // Not initialized. What is below 256 KiB is never kept.
  static Words take(std::size_t words);

  // From now on this thread keeps up to so much that is not in use; before, 12 MiB. With 0, all goes back at once.
  static void keep(std::size_t bytes);

  static std::size_t kept_bytes();

  // Gives what is kept back to the system.
  static void release_kept();

  // The same, of what was not in use at any time since this was last called.
  static void release_unused();
};

}  // namespace holdfast::ipc
