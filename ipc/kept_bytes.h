// Bytes of a message that are wanted for longer than its frame is.
#pragma once

#include <string>
#include <utility>

#include "ipc/client_messages.h"
#include "ipc/large_memory.h"

namespace holdfast::ipc {

class KeptBytes {
 public:
  // None.
  KeptBytes() = default;

  // A copy.
  explicit KeptBytes(Bytes bytes) : copy_(as_text(bytes)) {}

  // `bytes` where they are, which is in what `owner` keeps.
  KeptBytes(BytesOwner owner, Bytes bytes) : owner_(std::move(owner)), in_place_(bytes) {}

  Bytes bytes() const { return owner_ ? in_place_ : as_bytes(copy_); }
  std::size_t size() const { return bytes().size(); }
  // Null: they are a copy of this object's own.
  const BytesOwner& owner() const { return owner_; }

 private:
  std::string copy_;
  BytesOwner owner_;
  Bytes in_place_;
};

}  // namespace holdfast::ipc
