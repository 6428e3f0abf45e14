#include "ipc/large_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <vector>

namespace holdfast::ipc {
namespace {

constexpr std::size_t kSmallestLog = std::bit_width((std::size_t{256} << 10) / sizeof(Word)) - 1;

struct Blocks {
  std::vector<std::unique_ptr<Word[]>> kept;
  std::size_t least_kept = 0;  // since release_unused()
};

// True once this thread's Kept is destroyed: objects that outlive it, such as a client in a static variable, then use
// plain memory. The flag itself is never destroyed.
thread_local bool is_gone = false;

struct Kept {
  ~Kept() { is_gone = true; }

  std::array<Blocks, 64> of_size;  // by the logarithm of a block's words
  std::size_t bytes = 0;
  std::size_t most_bytes = std::size_t{12} << 20;
};

Kept& kept() {
  thread_local Kept kept;
  return kept;
}

std::size_t log_of(std::size_t words) { return static_cast<std::size_t>(std::bit_width(words)) - 1; }

}  // namespace

LargeMemory::Words LargeMemory::take(std::size_t words) {
  const std::size_t size = std::bit_ceil(words);
  if (is_gone || words < std::size_t{1} << kSmallestLog || size * sizeof(Word) > kept().most_bytes) {
    return {new Word[words], GiveBack{words}};  // would not be kept
  }
  Blocks& blocks = kept().of_size[log_of(size)];
  if (blocks.kept.empty()) return {new Word[size], GiveBack{size}};
  Words block(blocks.kept.back().release(), GiveBack{size});
  blocks.kept.pop_back();
  blocks.least_kept = std::min(blocks.least_kept, blocks.kept.size());
  kept().bytes -= size * sizeof(Word);
  return block;
}

void LargeMemory::GiveBack::operator()(Word* memory) const {
  std::unique_ptr<Word[]> block(memory);
  if (is_gone) return;
  const std::size_t bytes = words * sizeof(Word);
  Kept& all = kept();
  if (words < std::size_t{1} << kSmallestLog || !std::has_single_bit(words) || all.bytes + bytes > all.most_bytes) {
    return;
  }
  all.of_size[log_of(words)].kept.push_back(std::move(block));
  all.bytes += bytes;
}

void LargeMemory::keep(std::size_t bytes) {
  kept().most_bytes = bytes;
  release_kept();
}

std::size_t LargeMemory::kept_bytes() { return kept().bytes; }

void LargeMemory::release_kept() {
  Kept& all = kept();
  for (Blocks& blocks : all.of_size) blocks = Blocks{};
  all.bytes = 0;
}

void LargeMemory::release_unused() {
  Kept& all = kept();
  for (std::size_t log = kSmallestLog; log < all.of_size.size(); ++log) {
    Blocks& blocks = all.of_size[log];
    all.bytes -= blocks.least_kept * (sizeof(Word) << log);
    blocks.kept.resize(blocks.kept.size() - blocks.least_kept);
    blocks.least_kept = blocks.kept.size();
  }
}

}  // namespace holdfast::ipc
