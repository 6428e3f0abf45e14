#include "worker/plain/memory_account.h"

#include <algorithm>
#include <iterator>

namespace holdfast::worker {

bool MemoryAccount::has_room_for(std::uint64_t bytes, Refusal refusal) const {
  const std::uint64_t limit = refusal == Refusal::expected ? limit_ - std::min(limit_, reserve_) : limit_;
  return used_ <= limit && bytes <= limit - used_;
}

std::uint64_t MemoryAccount::taken_between(std::uintptr_t begin, std::uintptr_t end) const {
  std::uint64_t taken = 0;
  auto range = pages_.upper_bound(begin);
  if (range != pages_.begin()) --range;
  for (; range != pages_.end() && range->first < end; ++range) {
    const std::uintptr_t from = std::max(range->first, begin), to = std::min(range->second, end);
    if (from < to) taken += to - from;
  }
  return taken;
}

bool MemoryAccount::has_pages(std::uintptr_t begin, std::uintptr_t end) const {
  return taken_between(begin, end) == end - begin;
}

bool MemoryAccount::has_room_for_pages(std::uintptr_t begin, std::uintptr_t end, Refusal refusal) const {
  const std::uint64_t added = end - begin - taken_between(begin, end);
  return added == 0 || has_room_for(added, refusal);
}

void MemoryAccount::take_pages(std::uintptr_t begin, std::uintptr_t end) {
  used_ += end - begin - taken_between(begin, end);
  // The ranges that this one overlaps or touches become one with it.
  auto range = pages_.upper_bound(begin);
  if (range != pages_.begin() && std::prev(range)->second >= begin) --range;
  while (range != pages_.end() && range->first <= end) {
    begin = std::min(begin, range->first);
    end = std::max(end, range->second);
    range = pages_.erase(range);
  }
  pages_.emplace_hint(range, begin, end);
}

void MemoryAccount::give_back_pages(std::uintptr_t begin, std::uintptr_t end) {
  auto range = pages_.upper_bound(begin);
  if (range != pages_.begin() && std::prev(range)->second > begin) --range;
  while (range != pages_.end() && range->first < end) {
    const auto [from, to] = *range;
    range = pages_.erase(range);
    if (from < begin) pages_.emplace_hint(range, from, begin);
    if (to > end) pages_.emplace_hint(range, end, to);
    used_ -= std::min(to, end) - std::max(from, begin);
  }
}

bool MemoryAccount::take(std::uint64_t bytes) {
  if (!has_room_for(bytes, Refusal::expected)) return false;
  used_ += bytes;
  return true;
}

}  // namespace holdfast::worker
