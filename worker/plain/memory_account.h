// Counts and bounds the memory that V8 takes in a module's process: the pages of its heap, of compiled code and of
// WebAssembly's memories, and array buffers. Knows no V8 and maps nothing.
//
// V8's own limit is no such bound: the first large object of the young generation may have any size, and
// WebAssembly's memory does not count. The kernel's limit is none either: near RLIMIT_AS, mprotect(2) does not check
// RLIMIT_DATA.
#pragma once

#include <cstdint>
#include <map>

namespace holdfast::worker {

class MemoryAccount {
 public:
  // What a refusal does: the requester can go on (an array buffer throws a RangeError), or the process ends (a heap
  // page).
  enum class Refusal { expected, fatal };

  // Applies to memory that is taken from now on. The last `reserve` bytes are only for requests whose refusal is
  // fatal.
  void set_limit(std::uint64_t bytes, std::uint64_t reserve) {
    limit_ = bytes;
    reserve_ = reserve;
  }

  std::uint64_t used() const { return used_; }

  // Whether so much may be taken. Of a range of pages, only those count that are not taken yet.
  bool has_room_for(std::uint64_t bytes, Refusal refusal) const;
  bool has_room_for_pages(std::uintptr_t begin, std::uintptr_t end, Refusal refusal) const;

  // Charges the pages from `begin` to `end`, which can be read or written from now on. Pages that are taken already
  // are not charged again. Does not check the limit.
  void take_pages(std::uintptr_t begin, std::uintptr_t end);

  // Gives back the pages of the range that are taken.
  void give_back_pages(std::uintptr_t begin, std::uintptr_t end);

  // Whether every page of the range is taken.
  bool has_pages(std::uintptr_t begin, std::uintptr_t end) const;

  // Charges memory that has no pages of its own, and whose refusal is expected. Returns false if there is no room.
  // Only bytes that were taken may be given back.
  bool take(std::uint64_t bytes);
  void give_back(std::uint64_t bytes) { used_ -= bytes; }

 private:
  std::uint64_t taken_between(std::uintptr_t begin, std::uintptr_t end) const;

  std::map<std::uintptr_t, std::uintptr_t> pages_;  // begin to end; no two touch
  std::uint64_t used_ = 0;
  std::uint64_t limit_ = UINT64_MAX;
  std::uint64_t reserve_ = 0;
};

}  // namespace holdfast::worker
