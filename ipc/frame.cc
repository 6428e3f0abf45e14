#include "ipc/frame.h"

#include <algorithm>
#include <cstring>
#include <string_view>
#include <utility>

#include "ipc/base/invariant.h"

namespace holdfast::ipc {
namespace {

// Whether the first 4 bytes of the stream, read as this number, are the beginning of an HTTP request.
bool looks_like_http(std::uint64_t first_word) {
  constexpr std::string_view kMethods[] = {"GET ", "POST", "PUT ", "HEAD", "DELE",
                                           "PATC", "OPTI", "TRAC", "CONN", "PRI "};
  return std::ranges::any_of(kMethods, [&](std::string_view method) {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < method.size(); ++i)
      word |= std::uint64_t{static_cast<unsigned char>(method[i])} << 8 * i;
    return word == first_word;
  });
}

constexpr std::size_t kWordBytes = sizeof(Word);

// One read of this size takes about a hundred small calls; a larger buffer would only be cold memory.
constexpr std::size_t kReadWords = (std::size_t{64} << 10) / kWordBytes;

// A buffer that grew beyond this for a large message is given back when that message is gone.
constexpr std::size_t kKeepWords = (std::size_t{256} << 10) / kWordBytes;

// Growth for a frame that has not arrived in full: kFirstGrowth times what was received of it, up to
// kFirstGrowthWords, and twice what was received beyond that. Memory that is never received into is never touched,
// and costs only addresses.
constexpr std::size_t kFirstGrowth = 32;
constexpr std::size_t kFirstGrowthWords = (std::size_t{2} << 20) / kWordBytes;

std::uint32_t read_u32(const std::byte* at) {
  std::uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;  // the format is little-endian, as are all supported machines
}

tl::unexpected<ProtocolViolation> violation(std::string message) {
  return tl::unexpected(ProtocolViolation{std::move(message)});
}

}  // namespace

std::size_t Frame::total_words() const {
  std::size_t total = 0;
  for (auto segment : segments) total += segment.size();
  return total;
}

FrameReader::FrameReader(FrameLimits limits) : limits_(limits) {}

void FrameReader::reallocate(std::size_t words) {
  auto larger = LargeMemory::take(words);
  if (end_ > begin_) std::memcpy(larger.get(), bytes() + begin_, end_ - begin_);
  words_ = std::move(larger);
  capacity_ = words;
  end_ -= begin_;
  begin_ = 0;
}

std::span<std::byte> FrameReader::prepare() {
  if (begin_ == end_) begin_ = end_ = 0;
  const std::size_t received = end_ - begin_;
  const bool grew_for_a_frame_that_is_gone = capacity_ > kKeepWords && received <= kReadWords * kWordBytes / 2;
  const bool frame_fits = awaited_ > received && capacity_ * kWordBytes - begin_ >= awaited_;
  if (capacity_ == 0 || grew_for_a_frame_that_is_gone) {
    reallocate(kReadWords);
  } else if (capacity_ * kWordBytes - end_ < kReadWords * kWordBytes / 2 && !frame_fits) {
    std::size_t wanted = received * 2 / kWordBytes + kReadWords;
    if (awaited_ > received) {
      const std::size_t first = std::min(received * kFirstGrowth / kWordBytes, kFirstGrowthWords);
      wanted = std::min(std::max(wanted, first), awaited_ / kWordBytes + kReadWords / 2);
    }
    if (begin_ > 0 && received <= capacity_ * kWordBytes / 2) {
      std::memmove(bytes(), bytes() + begin_, received);
      end_ = received;
      begin_ = 0;
    } else {
      reallocate(std::max(capacity_, wanted));
    }
  }
  return {bytes() + end_, capacity_ * kWordBytes - end_};
}

LargeMemory::Words FrameReader::take_memory(std::size_t bytes) {
  if (capacity_ <= kKeepWords || bytes < capacity_ * kWordBytes / 4 * 3) return {};
  const std::size_t received = end_ - begin_;
  const std::size_t words = received / kWordBytes + kReadWords;
  LargeMemory::Words next = LargeMemory::take(words);
  std::memcpy(next.get(), this->bytes() + begin_, received);
  capacity_ = words;
  begin_ = 0;
  end_ = received;
  return std::exchange(words_, std::move(next));
}

void FrameReader::commit(std::size_t count) {
  expect(count <= capacity_ * kWordBytes - end_, "no more was received than there is room for");
  end_ += count;
}

tl::expected<std::optional<Frame>, ProtocolViolation> FrameReader::next() {
  const std::size_t available = end_ - begin_;
  if (available < kWordBytes) return std::nullopt;
  const std::byte* head = bytes() + begin_;

  const std::uint64_t segment_count = std::uint64_t{read_u32(head)} + 1;
  if (segment_count > limits_.max_segments) {
    if (looks_like_http(segment_count - 1)) return violation("this looks like HTTP; expected a Cap'n Proto frame");
    return violation("the frame has " + std::to_string(segment_count) + " segments; at most " +
                     std::to_string(limits_.max_segments) + " are accepted");
  }
  // The count and the sizes are uint32 each, padded to a whole word.
  const std::size_t header_bytes = (segment_count / 2 + 1) * kWordBytes;
  if (available < header_bytes) return std::nullopt;

  std::uint64_t body_words = 0;  // cannot overflow: at most 64 times 2^32
  for (std::size_t i = 0; i < segment_count; ++i) body_words += read_u32(head + (i + 1) * 4);
  const std::uint64_t frame_bytes = header_bytes + body_words * kWordBytes;
  if (frame_bytes > limits_.max_bytes) {
    return violation("the frame has " + std::to_string(frame_bytes) + " bytes by its header; at most " +
                     std::to_string(limits_.max_bytes) + " are accepted");
  }
  awaited_ = available < frame_bytes ? frame_bytes : 0;
  if (awaited_ > 0) return std::nullopt;

  segments_.clear();
  const Word* at = words_.get() + (begin_ + header_bytes) / kWordBytes;
  for (std::size_t i = 0; i < segment_count; ++i) {
    const std::uint32_t words = read_u32(head + (i + 1) * 4);
    segments_.emplace_back(at, words);
    at += words;
  }
  begin_ += frame_bytes;
  return Frame{segments_};
}

void OutputBuffer::swap(OutputBuffer& other) noexcept {
  std::swap(words_, other.words_);
  std::swap(capacity_, other.capacity_);
  std::swap(begin_, other.begin_);
  std::swap(end_, other.end_);
  std::swap(in_place_, other.in_place_);
  std::swap(in_place_bytes_, other.in_place_bytes_);
}

// Makes room for a zeroed header of `header_words` and `words` after it; returns the latter.
std::span<Word> OutputBuffer::make_room(std::size_t header_words, std::size_t words) {
  const std::size_t all_words = header_words + words;
  if (end_ / kWordBytes + all_words > capacity_) {
    // Only whole words may be dropped from the front, so that the frames behind stay aligned.
    const std::size_t dropped = begin_ / kWordBytes * kWordBytes;
    const std::size_t kept = end_ - dropped;
    capacity_ = std::max((kept / kWordBytes + all_words) * 2, kReadWords / 8);
    auto larger = LargeMemory::take(capacity_);
    if (kept > 0) std::memcpy(larger.get(), bytes() + dropped, kept);
    words_ = std::move(larger);
    begin_ -= dropped;
    end_ -= dropped;
    for (InPlace& segment : in_place_) segment.at -= dropped;
  }
  Word* header = words_.get() + end_ / kWordBytes;
  std::fill_n(header, header_words, 0);
  return {header + header_words, words};
}

std::span<Word> OutputBuffer::begin_frame(std::size_t words, std::size_t field_words) {
  const std::span<Word> space = make_room(1, words + field_words);
  // Wherever the field lies in the space, at most `words` are before it and at most `words` after it.
  const std::size_t untouched = field_words > words + 1 ? field_words - words - 1 : 0;
  std::fill_n(space.begin(), words + (untouched > 0 ? 0 : field_words), 0);
  if (untouched > 0) std::fill(space.begin() + static_cast<std::ptrdiff_t>(words + untouched), space.end(), 0);
  return space;
}

std::span<Word> OutputBuffer::begin_frame_in_place(std::size_t words) {
  const std::span<Word> space = make_room(2, words);
  std::fill(space.begin(), space.end(), 0);
  return space;
}

void OutputBuffer::finish_frame(std::size_t words) {
  Word* header = words_.get() + end_ / kWordBytes;
  *header = static_cast<Word>(words) << 32;  // segment count minus one in the low half, the one size in the high half
  end_ += (words + 1) * kWordBytes;
  expect(end_ <= capacity_ * kWordBytes, "a frame fits into the room that was made for it");
}

void OutputBuffer::finish_frame_in_place(std::size_t words, std::span<const Word> second, BytesOwner owner) {
  Word* header = words_.get() + end_ / kWordBytes;
  header[0] = static_cast<Word>(words) << 32 | 1;
  header[1] = second.size();
  end_ += (words + 2) * kWordBytes;
  expect(end_ <= capacity_ * kWordBytes, "a frame fits into the room that was made for it");
  in_place_.push_back({end_, std::as_bytes(second), std::move(owner)});
  in_place_bytes_ += second.size_bytes();
}

std::span<const std::byte> OutputBuffer::data() const {
  std::size_t end = end_;
  if (!in_place_.empty()) {
    if (in_place_.front().at == begin_) return in_place_.front().bytes;
    end = in_place_.front().at;
  }
  return {reinterpret_cast<const std::byte*>(words_.get()) + begin_, end - begin_};
}

std::array<std::span<const std::byte>, 2> OutputBuffer::first_pieces() const {
  const std::span<const std::byte> first = data();
  if (in_place_.empty() || in_place_.front().at == begin_) return {first};
  return {first, in_place_.front().bytes};
}

void OutputBuffer::consume(std::size_t count) {
  expect(count <= size_bytes(), "no more is consumed than is in the buffer");
  while (count > 0) {
    const std::size_t taken = std::min(count, data().size());
    count -= taken;
    if (in_place_.empty() || in_place_.front().at != begin_) {
      begin_ += taken;
      continue;
    }
    InPlace& segment = in_place_.front();
    segment.bytes = segment.bytes.subspan(taken);
    in_place_bytes_ -= taken;
    if (segment.bytes.empty()) in_place_.pop_front();
  }
  if (!empty()) return;
  begin_ = end_ = 0;
  if (capacity_ > kKeepWords) {
    words_.reset();
    capacity_ = 0;
  }
}

}  // namespace holdfast::ipc
