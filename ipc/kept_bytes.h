// Bytes of a message that must outlive its frame.
#pragma once

#include <string>
#include <utility>

#include "ipc/client_messages.h"
#include "ipc/large_memory.h"

namespace holdfast::ipc {

class KeptBytes {
 public:
  // No bytes.
  KeptBytes() = default;

  // Copies `bytes`.
  explicit KeptBytes(Bytes bytes) : copy_(as_text(bytes)) {}

  // Refers to `bytes` in place; `owner` keeps their memory alive.
  KeptBytes(BytesOwner owner, Bytes bytes) : owner_(std::move(owner)), in_place_(bytes) {}

  Bytes bytes() const { return owner_ ? in_place_ : as_bytes(copy_); }
  std::size_t size() const { return bytes().size(); }
  // Null: the bytes are this object's own copy.
  const BytesOwner& owner() const { return owner_; }

 private:
  std::string copy_;
  BytesOwner owner_;
  Bytes in_place_;
};

}  // namespace holdfast::ipc
