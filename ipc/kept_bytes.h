// Bytes of a message that are wanted for longer than its frame is.
#pragma once

#include <string>
#include <utility>

#include "ipc/client_messages.h"
#include "ipc/large_memory.h"

namespace holdfast::ipc {

class KeptBytes {
 public:
  // A copy.
  explicit KeptBytes(Bytes bytes) : copy_(as_text(bytes)) {}

  // `bytes`, which lie in `memory`, where they are.
  KeptBytes(LargeMemory::Words memory, Bytes bytes) : memory_(std::move(memory)), in_memory_(bytes) {}

  Bytes bytes() const { return memory_ ? in_memory_ : as_bytes(copy_); }
  std::size_t size() const { return bytes().size(); }

 private:
  std::string copy_;
  LargeMemory::Words memory_;
  Bytes in_memory_;
};

}  // namespace holdfast::ipc
