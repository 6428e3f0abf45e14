// What a module's process has of the memory that V8 asks for: the pages of its heap, of compiled code and of
// WebAssembly's memories, and array buffers. Knows no V8 and maps nothing.
//
// V8's own limit is no such bound: the first large object of its young generation may have any size, and
// WebAssembly's memory does not count. Nor is the kernel's: near RLIMIT_AS, mprotect(2) does not look at RLIMIT_DATA.
#pragma once

#include <cstdint>
#include <map>

namespace holdfast::worker {

class MemoryAccount {
 public:
  // Who is refused can go on (an array buffer is a RangeError), or ends the process (a page of the heap).
  enum class Refusal { expected, fatal };

  // Applies to what is taken from now on. The last `reserve` bytes are for those whose refusal is fatal.
  void set_limit(std::uint64_t bytes, std::uint64_t reserve) {
    limit_ = bytes;
    reserve_ = reserve;
  }

  std::uint64_t used() const { return used_; }

  // Whether as much may be taken.
  bool has_room_for(std::uint64_t bytes, Refusal refusal) const;
  bool has_room_for_pages(std::uintptr_t begin, std::uintptr_t end, Refusal refusal) const;

  // Pages from `begin` to `end` can be read or written from now on. Those that were taken before count once.
  void take_pages(std::uintptr_t begin, std::uintptr_t end);

  // Those of them that were taken are given back.
  void give_back_pages(std::uintptr_t begin, std::uintptr_t end);

  // Whether every one of them was taken.
  bool has_pages(std::uintptr_t begin, std::uintptr_t end) const;

  // Memory that has no pages of its own, and whose refusal is expected; what is given back must have been taken.
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
