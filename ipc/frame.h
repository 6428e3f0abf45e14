// Cap'n Proto's standard stream framing (https://capnproto.org/encoding.html#serialization-over-a-stream), done
// incrementally: one read may bring many frames, or a part of one. Every limit is checked on the frame's header,
// before memory is set aside for its body and before a message is touched.
//
// Nothing here does I/O: the owner of a socket moves the bytes. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/large_memory.h"

namespace holdfast::ipc {

struct FrameLimits {
  // Of one frame, its header included.
  std::size_t max_bytes = std::size_t{33} << 20;
  // A builder of another language may use several segments for one message; more than this serves only attacks.
  std::size_t max_segments = 64;
};

// One whole message as it lies in the reader's buffer. Both spans die with the next call on the reader.
struct Frame {
  std::span<const std::span<const Word>> segments;
  std::size_t total_words() const;
};

// The peer broke the framing or a message's rules; the text says which rule, for the peer and the log.
struct ProtocolViolation {
  std::string message;
};

class FrameReader {
 public:
  explicit FrameReader(FrameLimits limits = {});

  // Frames of up to `bytes` are accepted from here on, if that is more than the limit so far.
  void accept_frames_of(std::size_t bytes) { limits_.max_bytes = std::max(limits_.max_bytes, bytes); }

  // For frames from the next on.
  void set_limits(FrameLimits limits) { limits_ = limits; }

  // Where the next bytes from the peer go: never empty. Invalidates frames handed out before. Memory grows with what
  // has been received; what a header announces only keeps it from growing further than that.
  std::span<std::byte> prepare();

  // `count` bytes were written to the front of what prepare() returned.
  void commit(std::size_t count);

  // The next whole frame, nothing if more bytes are needed, or the violation after which the stream is useless.
  tl::expected<std::optional<Frame>, ProtocolViolation> next();

  // The memory that the last frame lies in, which then outlives the next call, for who keeps `bytes` of it; null where
  // they would be too small a part of it.
  LargeMemory::Words take_memory(std::size_t bytes);

  // Calls `look` with each frame that next() will hand out of what was received so far, and hands none out. Of
  // a frame that was handed out, the words stay where they are; its list of segments does not.
  template <typename Look>
  void look_ahead(Look look) {
    const std::size_t begin = begin_, awaited = awaited_;
    for (auto frame = next(); frame && *frame; frame = next()) look(**frame);
    begin_ = begin;
    awaited_ = awaited;
  }

  // Bytes received that are not part of a frame handed out yet. Not 0 at the end of the stream: it was cut off.
  std::size_t buffered_bytes() const { return end_ - begin_; }

 private:
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.get()); }
  void reallocate(std::size_t words);

  FrameLimits limits_;
  LargeMemory::Words words_;
  std::size_t capacity_ = 0;  // in words
  // In bytes from the start of the buffer. begin_ is always at a word's border, so that segments are aligned.
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t awaited_ = 0;  // the size of the frame at begin_, where it is known and has not arrived in full
  std::vector<std::span<const Word>> segments_;
};

// Frames on their way out: appended whole, taken away in whatever pieces the socket accepts.
class OutputBuffer {
 public:
  OutputBuffer() = default;
  // What was moved from is empty, and may be used again.
  OutputBuffer(OutputBuffer&& other) noexcept { swap(other); }
  OutputBuffer& operator=(OutputBuffer&& other) noexcept {
    OutputBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }

  // Allocates nothing.
  void swap(OutputBuffer& other) noexcept;

  // An aligned space for one single-segment message, header not included; valid until the next call. Must be followed
  // by finish_frame(). It has room for `words` and for one field of `field_words`, which will be filled whole but for
  // padding in its last word; it is zeroed but where only that field can be.
  std::span<Word> begin_frame(std::size_t words, std::size_t field_words = 0);

  // The same for a message's first segment, of two. Must be followed by finish_frame_in_place().
  std::span<Word> begin_frame_in_place(std::size_t words);

  // The message filled the first `words` of that space: the header is written and the rest given back.
  void finish_frame(std::size_t words);

  // The second segment is sent from where it is; `owner` keeps it there until it is on its way.
  void finish_frame_in_place(std::size_t words, std::span<const Word> second, BytesOwner owner);

  bool empty() const { return begin_ == end_ && in_place_.empty(); }
  std::size_t size_bytes() const { return end_ - begin_ + in_place_bytes_; }

  // What is to be sent first and lies in one piece: all, where nothing is sent from elsewhere. Empty only if all is.
  std::span<const std::byte> data() const;

  // The same and what comes after it, for who can send both at once; either may be empty.
  std::array<std::span<const std::byte>, 2> first_pieces() const;

  // The first `count` bytes are on their way. The memory of a large message is given back with its last byte.
  void consume(std::size_t count);

 private:
  struct InPlace {
    std::size_t at;  // before what is at this place in the buffer
    std::span<const std::byte> bytes;
    BytesOwner owner;
  };

  std::span<Word> make_room(std::size_t header_words, std::size_t words);
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.get()); }

  LargeMemory::Words words_;
  std::size_t capacity_ = 0;  // in words
  std::size_t begin_ = 0;     // in bytes; 0 if nothing is held
  std::size_t end_ = 0;       // in bytes, always at a word's border
  std::deque<InPlace> in_place_;
  std::size_t in_place_bytes_ = 0;  // of all of them
};

}  // namespace holdfast::ipc
