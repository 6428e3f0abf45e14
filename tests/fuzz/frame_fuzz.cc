// The framing against a peer that sends any bytes in pieces of any size. The input's first half gives the sizes of the
// pieces, its second half is the stream.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/frame.h"
#include "tests/support/ipc_values.h"

namespace {

using namespace holdfast::ipc;
using testing::Segments;

// Small limits, so that inputs reach them.
constexpr FrameLimits kLimits = {.max_bytes = 2048, .max_segments = 8};

void expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

struct Outcome {
  std::vector<Segments> frames;
  std::string violation;
  std::size_t left_over = 0;

  bool operator==(const Outcome&) const = default;
};

class Reading {
 public:
  void receive(std::string_view piece) {
    received_ += piece.size();
    while (!piece.empty() && outcome_.violation.empty()) {
      const auto space = reader_.prepare();
      expect(!space.empty(), "there is always space for the next bytes");
      expect(space.size() <= 2 * received_ + 128 * 1024, "memory grows with what was received");
      const std::size_t count = std::min(space.size(), piece.size());
      std::memcpy(space.data(), piece.data(), count);
      reader_.commit(count);
      piece.remove_prefix(count);
      take_frames();
    }
  }

  // Bytes after a violation are ignored, so their number depends on the pieces.
  Outcome outcome() {
    if (outcome_.violation.empty()) outcome_.left_over = reader_.buffered_bytes();
    return outcome_;
  }

 private:
  void take_frames() {
    while (true) {
      const auto frame = reader_.next();
      if (!frame) {
        expect(!frame.error().message.empty(), "a violation says what was broken");
        const auto again = reader_.next();
        expect(!again && again.error().message == frame.error().message, "a violation stays");
        outcome_.violation = frame.error().message;
        return;
      }
      if (!frame->has_value()) return;
      check(**frame);
      outcome_.frames.push_back(testing::copy_of(**frame));
    }
  }

  static void check(const Frame& frame) {
    expect(!frame.segments.empty() && frame.segments.size() <= kLimits.max_segments,
           "the number of segments is in limits");
    const std::size_t header = (frame.segments.size() / 2 + 1) * sizeof(Word);
    expect(header + frame.total_words() * sizeof(Word) <= kLimits.max_bytes, "the size is in limits");
    for (const auto segment : frame.segments) {
      expect(reinterpret_cast<std::uintptr_t>(segment.data()) % sizeof(Word) == 0, "segments are aligned");
    }
  }

  FrameReader reader_{kLimits};
  std::size_t received_ = 0;
  Outcome outcome_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view sizes = input.substr(0, size / 2);
  const std::string_view stream = input.substr(size / 2);

  Reading whole;
  whole.receive(stream);

  Reading by_bytes;
  for (std::size_t i = 0; i < stream.size(); ++i) by_bytes.receive(stream.substr(i, 1));
  expect(by_bytes.outcome() == whole.outcome(), "byte by byte gives what one piece gives");

  Reading by_pieces;
  for (std::size_t at = 0, i = 0; at < stream.size(); ++i) {
    const std::size_t count = i < sizes.size() ? static_cast<unsigned char>(sizes[i]) + 1 : stream.size();
    by_pieces.receive(stream.substr(at, count));
    at += count;
  }
  expect(by_pieces.outcome() == whole.outcome(), "other pieces give what one piece gives");

  // The frames, written again, are the part of the stream that was used up.
  std::string again;
  for (const auto& frame : whole.outcome().frames) again += testing::framed(frame);
  expect(again.size() <= stream.size(), "nothing is invented");
  for (std::size_t i = 0; i < again.size(); ++i) {
    expect(again[i] == stream[i] || again[i] == 0, "frames have the bytes of the stream, but for the padding");
  }
  return 0;
}
