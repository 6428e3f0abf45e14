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
  // Largest size of one frame, header included.
  std::size_t max_bytes = std::size_t{33} << 20;
  // A builder in another language may use several segments for one message; only an attack needs more than this.
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

  // Raises the size limit to `bytes`, from the next frame on; never lowers it.
  void accept_frames_of(std::size_t bytes) { limits_.max_bytes = std::max(limits_.max_bytes, bytes); }

  // Sets the limits for the next frame and later ones.
  void set_limits(FrameLimits limits) { limits_ = limits; }

  // Space for the next bytes from the peer; never empty. Invalidates frames that were handed out before. Memory grows
  // with what has been received; the size that a header announces only bounds that growth.
  std::span<std::byte> prepare();

  // `count` bytes were written to the front of what prepare() returned.
  void commit(std::size_t count);

  // The next whole frame, nullopt if more bytes are needed, or a violation, after which the stream cannot be read
  // further.
  tl::expected<std::optional<Frame>, ProtocolViolation> next();

  // Takes over the memory that the last frame lies in, so that the frame outlives the next call on the reader. For a
  // caller that keeps `bytes` of it; null, and nothing changes, if they are less than three quarters of the memory or
  // the memory is small.
  LargeMemory::Words take_memory(std::size_t bytes);

  // Calls `look` with each whole frame that next() has not handed out yet, without handing it out. The words of a
  // frame that was handed out before stay valid; its list of segments (Frame::segments) does not.
  template <typename Look>
  void look_ahead(Look look) {
    const std::size_t begin = begin_, awaited = awaited_;
    for (auto frame = next(); frame && *frame; frame = next()) look(**frame);
    begin_ = begin;
    awaited_ = awaited;
  }

  // Bytes received that do not belong to a frame handed out. If it is not 0 at the end of the stream, the stream was
  // cut off.
  std::size_t buffered_bytes() const { return end_ - begin_; }

 private:
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.get()); }
  void reallocate(std::size_t words);

  FrameLimits limits_;
  LargeMemory::Words words_;
  std::size_t capacity_ = 0;  // in words
  // In bytes from the start of the buffer. begin_ is always at a word boundary, so that segments are aligned.
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::size_t awaited_ = 0;  // size of the frame at begin_ if it is known and has not arrived in full; else 0
  std::vector<std::span<const Word>> segments_;
};

// Frames to send: appended whole, removed in whatever pieces the socket accepts.
class OutputBuffer {
 public:
  OutputBuffer() = default;
  // The buffer that was moved from is empty and may be used again.
  OutputBuffer(OutputBuffer&& other) noexcept { swap(other); }
  OutputBuffer& operator=(OutputBuffer&& other) noexcept {
    OutputBuffer taken(std::move(other));
    swap(taken);
    return *this;
  }

  // Allocates nothing.
  void swap(OutputBuffer& other) noexcept;

  // Begins a single-segment message: returns aligned space for it, without the header, valid until the next call.
  // Must be followed by finish_frame(). The space has room for `words` and for one field of `field_words`, which the
  // caller must fill completely, padding in its last word aside. The space is zeroed, except where only that field
  // can lie.
  std::span<Word> begin_frame(std::size_t words, std::size_t field_words = 0);

  // Begins a message of two segments: returns aligned, zeroed space of `words` for the first segment, without the
  // header, valid until the next call. Must be followed by finish_frame_in_place().
  std::span<Word> begin_frame_in_place(std::size_t words);

  // Ends the message, which filled the first `words` of that space: writes the header and gives the rest back.
  void finish_frame(std::size_t words);

  // Ends a message of two segments, of which the first filled the first `words` of that space. The second is sent
  // from where it is; `owner` keeps it alive until it has been sent.
  void finish_frame_in_place(std::size_t words, std::span<const Word> second, BytesOwner owner);

  bool empty() const { return begin_ == end_ && in_place_.empty(); }
  std::size_t size_bytes() const { return end_ - begin_ + in_place_bytes_; }

  // The first contiguous piece to send: everything, if no segment is sent in place. Empty only if the buffer is
  // empty.
  std::span<const std::byte> data() const;

  // The first contiguous piece to send and the one after it, for a caller that can send both at once. The second is
  // empty if there is none; both are empty only if the buffer is empty.
  std::array<std::span<const std::byte>, 2> first_pieces() const;

  // Removes the first `count` bytes, which have been sent. A large buffer's memory is given back once the buffer is
  // empty.
  void consume(std::size_t count);

 private:
  struct InPlace {
    std::size_t at;  // sent before what is at this offset in the buffer
    std::span<const std::byte> bytes;
    BytesOwner owner;
  };

  std::span<Word> make_room(std::size_t header_words, std::size_t words);
  std::byte* bytes() { return reinterpret_cast<std::byte*>(words_.get()); }

  LargeMemory::Words words_;
  std::size_t capacity_ = 0;  // in words
  std::size_t begin_ = 0;     // in bytes; 0 if nothing is buffered
  std::size_t end_ = 0;       // in bytes, always at a word boundary
  std::deque<InPlace> in_place_;
  std::size_t in_place_bytes_ = 0;  // total of in_place_
};

}  // namespace holdfast::ipc
