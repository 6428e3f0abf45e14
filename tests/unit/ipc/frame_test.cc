#include "ipc/frame.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>
#include <malloc.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "ipc/protocol.capnp.h"
#include "ipc/worker_messages.h"
#include "tests/support/ipc_values.h"

namespace {

// Bytes in live arrays of plain values: the buffers under test, and little else.
std::atomic<std::size_t> array_bytes = 0;

}  // namespace

void* operator new[](std::size_t size) {
  void* memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  array_bytes += malloc_usable_size(memory);
  return memory;
}
void operator delete[](void* memory) noexcept {
  if (memory != nullptr) array_bytes -= malloc_usable_size(memory);
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept { operator delete[](memory); }

namespace holdfast::ipc {
namespace {

using testing::copy_of;
using testing::feed;
using testing::framed;
using testing::Segments;

constexpr std::size_t kMiB = std::size_t{1} << 20;

std::vector<Word> words(std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<Word> result(count);
  for (Word& word : result) word = random();
  return result;
}

// Frames of many shapes: no words at all, one segment and many, a few words and more than one read's worth.
std::vector<Segments> sample_frames() {
  std::vector<Segments> frames = {{{}},     {words(1, 1)},      {words(3, 2), words(0, 0), words(5, 3)},
                                  {{}, {}}, {words(20'000, 4)}, {words(2, 5), words(2, 6)}};
  frames.emplace_back(64, words(1, 7));
  frames.push_back({words(7, 8)});
  return frames;
}

std::string stream_of(const std::vector<Segments>& frames) {
  std::string stream;
  for (const auto& frame : frames) stream += framed(frame);
  return stream;
}

// All frames of `stream` when it arrives in pieces whose sizes `next_size` returns.
std::vector<Segments> read_in_pieces(std::string_view stream, const std::function<std::size_t()>& next_size) {
  FrameReader reader;
  std::vector<Segments> frames;
  while (!stream.empty()) {
    const std::string_view piece = stream.substr(0, next_size());
    feed(reader, piece);
    stream.remove_prefix(piece.size());
    while (true) {
      auto frame = reader.next();
      REQUIRE(frame.has_value());
      if (!frame->has_value()) break;
      for (const auto segment : (*frame)->segments) {
        REQUIRE(reinterpret_cast<std::uintptr_t>(segment.data()) % sizeof(Word) == 0);
      }
      frames.push_back(copy_of(**frame));
    }
  }
  CHECK(reader.buffered_bytes() == 0);
  return frames;
}

std::string violation_of(FrameReader& reader) {
  const auto frame = reader.next();
  return frame ? "none" : frame.error().message;
}

TEST_CASE("frames come out the same when their bytes arrive one by one") {
  const auto frames = sample_frames();
  CHECK(read_in_pieces(stream_of(frames), [] { return 1; }) == frames);
}

TEST_CASE("frames come out the same, and aligned, however their bytes are split") {
  const auto frames = sample_frames();
  const std::string stream = stream_of(frames);
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const std::size_t largest = std::size_t{1} << (random() % 18);
    CHECK(read_in_pieces(stream, [&] { return 1 + random() % largest; }) == frames);
  }
}

TEST_CASE("many frames that arrive at once come out one by one, in order") {
  std::vector<Segments> frames;
  for (std::size_t i = 0; i < 20'000; ++i) frames.push_back({words(i % 7, i)});
  const std::string stream = stream_of(frames);
  CHECK(read_in_pieces(stream, [&] { return stream.size(); }) == frames);
}

TEST_CASE("frames that were peeked at still come out and the words of the frame before stay in place") {
  const auto frames = sample_frames();
  FrameReader reader;
  feed(reader, stream_of(frames) + framed({words(9, 1)}).substr(0, 24));
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto frame = reader.next();
    REQUIRE((frame && *frame));
    CHECK(copy_of(**frame) == frames[i]);
    const std::span<const Word> kept = (*frame)->segments.back();
    std::vector<Segments> seen;
    reader.look_ahead([&](const Frame& ahead) { seen.push_back(copy_of(ahead)); });
    CHECK(seen == std::vector<Segments>(frames.begin() + static_cast<std::ptrdiff_t>(i) + 1, frames.end()));
    CHECK(std::vector<Word>(kept.begin(), kept.end()) == frames[i].back());
  }
  CHECK_FALSE(reader.next()->has_value());
  CHECK(reader.buffered_bytes() == 24);
}

TEST_CASE("peeking stops before a frame that is refused") {
  FrameReader reader({.max_bytes = 64, .max_segments = 1});
  feed(reader, framed({words(1, 1)}) + framed({words(1, 2), words(1, 3)}));
  std::size_t seen = 0;
  reader.look_ahead([&](const Frame&) { ++seen; });
  CHECK(seen == 1);
  CHECK(reader.next()->has_value());
  CHECK_FALSE(reader.next().has_value());
}

TEST_CASE("a request of HTTP is told to look like one") {
  for (const std::string text : {"GET / HTTP/1.1\r\n\r\n", "POST /call HTTP/1.1\r\n", "PRI * HTTP/2.0\r\n\r\n"}) {
    CAPTURE(text);
    FrameReader reader;
    const auto space = reader.prepare();
    std::copy(text.begin(), text.end(), reinterpret_cast<char*>(space.data()));
    reader.commit(text.size());
    const auto frame = reader.next();
    REQUIRE_FALSE(frame.has_value());
    CHECK(frame.error().message.find("this looks like HTTP") != std::string::npos);
  }
}

TEST_CASE("a frame that Cap'n Proto's own library wrote comes out with all its segments") {
  capnp::MallocMessageBuilder builder(1, capnp::AllocationStrategy::FIXED_SIZE);
  builder.initRoot<wire::ClientMessage>().initCall().setFunction("several segments, since each has one word at first");
  const auto segments = builder.getSegmentsForOutput();
  REQUIRE(segments.size() > 1);
  const auto flat = capnp::messageToFlatArray(builder);
  FrameReader reader;
  feed(reader, {flat.asChars().begin(), flat.asChars().size()});
  auto frame = reader.next();
  REQUIRE(frame.has_value());
  REQUIRE(frame->has_value());
  REQUIRE((*frame)->segments.size() == segments.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    REQUIRE((*frame)->segments[i].size() == segments[i].size());
    CHECK(std::memcmp((*frame)->segments[i].data(), segments[i].begin(), segments[i].asBytes().size()) == 0);
  }
}

TEST_CASE("a reader that has received nothing has no frame") {
  FrameReader reader;
  CHECK(reader.buffered_bytes() == 0);
  auto frame = reader.next();
  REQUIRE(frame.has_value());
  CHECK_FALSE(frame->has_value());
}

TEST_CASE("a stream that ends within a frame leaves bytes behind, one that ends between frames does not") {
  const std::string frame = framed({words(4, 1), words(3, 2)});
  for (std::size_t size = 1; size < frame.size(); ++size) {
    FrameReader reader;
    feed(reader, std::string_view(frame).substr(0, size));
    auto got = reader.next();
    REQUIRE(got.has_value());
    CHECK_FALSE(got->has_value());
    CHECK(reader.buffered_bytes() == size);
  }
  FrameReader reader;
  feed(reader, frame);
  CHECK(reader.next()->has_value());
  CHECK(reader.buffered_bytes() == 0);
}

TEST_CASE("a frame with more segments than the limit is refused at its first word") {
  const std::string at_limit = framed(Segments(64, words(1, 1)));
  FrameReader accepts;
  feed(accepts, at_limit);
  CHECK(accepts.next()->has_value());

  FrameReader refuses;
  feed(refuses, std::string_view(framed(Segments(65, words(1, 1)))).substr(0, 8));
  CHECK(violation_of(refuses) == "the frame has 65 segments; at most 64 are accepted");
}

TEST_CASE("the highest segment count that a header can state is refused") {
  FrameReader reader;
  feed(reader, std::string(8, '\xFF'));
  CHECK(violation_of(reader) == "the frame has 4294967296 segments; at most 64 are accepted");
}

TEST_CASE("a frame of the largest size comes out, and one that is a word longer is refused by its header alone") {
  const FrameLimits limits = {.max_bytes = 64, .max_segments = 2};
  FrameReader accepts(limits);
  feed(accepts, framed({words(7, 1)}));
  CHECK(accepts.next()->has_value());

  FrameReader refuses(limits);
  feed(refuses, std::string_view(framed({words(8, 1)})).substr(0, 8));
  CHECK(violation_of(refuses) == "the frame has 72 bytes by its header; at most 64 are accepted");

  // The header counts too: a second segment makes the frame a word longer.
  FrameReader accepts_two(limits);
  feed(accepts_two, framed({words(3, 1), words(3, 1)}));
  CHECK(accepts_two.next()->has_value());
  FrameReader refuses_two(limits);
  feed(refuses_two, framed({words(3, 1), words(4, 1)}));
  CHECK(violation_of(refuses_two) == "the frame has 72 bytes by its header; at most 64 are accepted");
}

TEST_CASE("sizes that add up beyond 4 GB and beyond 64 bits are refused, not wrapped around") {
  std::string header = framed({{}});
  std::memset(header.data() + 4, 0xFF, 4);
  FrameReader one_segment;
  feed(one_segment, header);
  CHECK(violation_of(one_segment) == "the frame has 34359738368 bytes by its header; at most 34603008 are accepted");

  std::string many = framed(Segments(64));
  std::memset(many.data() + 4, 0xFF, 64 * 4);
  FrameReader many_segments;
  feed(many_segments, many);
  CHECK(violation_of(many_segments).find("bytes by its header") != std::string::npos);

  // 2^29 words are 2^32 bytes, which is 0 in 32 bits.
  std::string wraps = framed({{}});
  const std::uint32_t count = std::uint32_t{1} << 29;
  std::memcpy(wraps.data() + 4, &count, sizeof count);
  FrameReader wrapping;
  feed(wrapping, wraps);
  CHECK(violation_of(wrapping) == "the frame has 4294967304 bytes by its header; at most 34603008 are accepted");
}

TEST_CASE("frames before a refused one come out, and after it nothing does") {
  FrameReader reader({.max_bytes = 64, .max_segments = 1});
  feed(reader, framed({words(2, 1)}) + framed({words(9, 2)}) + framed({words(2, 3)}));
  CHECK(copy_of(**reader.next()) == Segments{words(2, 1)});
  CHECK(violation_of(reader) == "the frame has 80 bytes by its header; at most 64 are accepted");
  feed(reader, framed({words(1, 4)}));
  CHECK(violation_of(reader) == "the frame has 80 bytes by its header; at most 64 are accepted");
}

TEST_CASE("a reader's memory grows with what it received, not with what a header announces") {
  const std::string frame = framed({words(32 * kMiB / sizeof(Word), 1)});
  FrameReader reader;
  std::size_t received = 0;
  while (received < frame.size()) {
    const auto space = reader.prepare();
    REQUIRE_FALSE(space.empty());
    REQUIRE(received + space.size() <=
            std::max(2 * received, std::min<std::size_t>(32 * received, 2 << 20)) + 128 * 1024);
    const std::size_t count = std::min({space.size(), frame.size() - received, received < 1024 ? 8 : space.size()});
    std::memcpy(space.data(), frame.data() + received, count);
    reader.commit(count);
    received += count;
    auto got = reader.next();
    REQUIRE(got.has_value());
    CHECK(got->has_value() == (received == frame.size()));
  }
}

TEST_CASE("a reader gives the memory of a large frame back with the next read") {
  LargeMemory::keep(0);
  const std::size_t before = array_bytes;
  FrameReader reader;
  feed(reader, framed({words(17 * kMiB / sizeof(Word), 1)}));
  REQUIRE(reader.next()->has_value());
  CHECK(array_bytes - before >= 17 * kMiB);
  reader.prepare();
  CHECK(array_bytes - before <= 128 * 1024);
}

TEST_CASE("a reader gives the memory of a large frame back also when more bytes always follow") {
  LargeMemory::keep(0);
  const std::size_t before = array_bytes;
  FrameReader reader;
  const std::string small = framed({words(40, 1)});
  feed(reader, framed({words(17 * kMiB / sizeof(Word), 1)}) + small.substr(0, 13));
  REQUIRE(reader.next()->has_value());
  REQUIRE_FALSE(reader.next()->has_value());
  for (int i = 0; i < 3; ++i) {
    feed(reader, small.substr(13) + small.substr(0, 13));
    const auto frame = reader.next();
    REQUIRE(frame->has_value());
    CHECK(copy_of(**frame) == Segments{words(40, 1)});
    REQUIRE_FALSE(reader.next()->has_value());
    CHECK(array_bytes - before <= 128 * 1024);
  }
}

TEST_CASE("small frames without end need no more memory than a few reads") {
  const std::size_t before = array_bytes;
  FrameReader reader;
  const std::string frame = framed({words(40, 1)});
  std::string stream;
  for (int i = 0; i < 10'000; ++i) stream += frame;
  // No read ends at the end of a frame, so the buffer is never empty.
  feed(reader, frame.substr(0, 13));
  std::size_t frames = 0;
  for (std::size_t at = 13; at + 4099 < stream.size(); at += 4099) {
    feed(reader, std::string_view(stream).substr(at, 4099));
    for (auto got = reader.next(); got->has_value(); got = reader.next()) ++frames;
    REQUIRE(array_bytes - before <= 256 * 1024);
  }
  CHECK(frames > 9'900);
}

// --- OutputBuffer --------------------------------------------------------------------------------------------------

void append_frame(OutputBuffer& out, const std::vector<Word>& content) {
  const auto space = out.begin_frame(content.size());
  std::copy(content.begin(), content.end(), space.begin());
  out.finish_frame(content.size());
}

// Appends a frame whose second segment is sent from where it is, without a copy. Returns a weak pointer to that
// segment's owner.
std::weak_ptr<const void> append_frame(OutputBuffer& out, const std::vector<Word>& content, std::vector<Word> second) {
  const auto owned = std::make_shared<const std::vector<Word>>(std::move(second));
  const auto space = out.begin_frame_in_place(content.size());
  std::copy(content.begin(), content.end(), space.begin());
  out.finish_frame_in_place(content.size(), *owned, owned);
  return owned;
}

std::string take(OutputBuffer& out, std::size_t count) {
  std::string taken;
  for (const auto piece : out.first_pieces()) {
    taken += as_text(piece.first(std::min(piece.size(), count - taken.size())));
  }
  REQUIRE((taken.size() == count || !taken.empty()));
  out.consume(taken.size());
  return taken.size() == count ? taken : taken + take(out, count - taken.size());
}

TEST_CASE("what an output buffer holds is Cap'n Proto's stream framing") {
  OutputBuffer out;
  CHECK(out.empty());
  append_frame(out, words(3, 1));
  append_frame(out, {});
  append_frame(out, words(1, 2));
  CHECK_FALSE(out.empty());
  CHECK(as_text(out.data()) == framed({words(3, 1)}) + framed({{}}) + framed({words(1, 2)}));
  CHECK(out.size_bytes() == 4 * 8 + 8 + 2 * 8);
}

TEST_CASE("Cap'n Proto's own library reads what an output buffer holds") {
  OutputBuffer out;
  encode(out, CancelRequest{77});
  std::vector<capnp::word> copy(out.size_bytes() / sizeof(capnp::word));
  std::memcpy(copy.data(), out.data().data(), out.size_bytes());
  capnp::FlatArrayMessageReader message(kj::arrayPtr(copy.data(), copy.size()));
  CHECK(message.getRoot<wire::ClientMessage>().getCancel() == 77);
}

TEST_CASE("space that was asked for and not filled is not sent") {
  OutputBuffer out;
  auto space = out.begin_frame(100);
  space[0] = 1;
  space[99] = 99;
  out.finish_frame(1);
  append_frame(out, {2});
  CHECK(as_text(out.data()) == framed({{1}}) + framed({{2}}));
}

TEST_CASE("the space for a frame is zeroed and aligned, also where other bytes were before") {
  OutputBuffer out;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 30; ++i) append_frame(out, words(31, 1));
    out.consume(round % 2 == 0 ? out.size_bytes() : out.size_bytes() - 3);
    const auto space = out.begin_frame(100);
    CHECK(reinterpret_cast<std::uintptr_t>(space.data()) % sizeof(Word) == 0);
    CHECK(std::all_of(space.begin(), space.end(), [](Word word) { return word == 0; }));
    out.finish_frame(0);
  }
}

TEST_CASE("nothing is lost or changed when frames are appended while others are taken away in pieces") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    OutputBuffer out;
    std::string expected;
    std::string sent;
    for (int step = 0; step < 1000; ++step) {
      if (random() % 2 == 0) {
        const std::size_t size = random() % 50 == 0 ? random() % 60'000 : random() % 40;
        const auto content = words(size, random());
        append_frame(out, content);
        expected += framed({content});
      } else if (random() % 4 == 0) {
        const auto content = words(random() % 20, random());
        const auto second = words(1 + random() % 400, random());
        append_frame(out, content, second);
        expected += framed({content, second});
      } else {
        const std::size_t most = random() % 4 == 0 ? out.size_bytes() : std::min<std::size_t>(out.size_bytes(), 100);
        sent += take(out, most == 0 ? 0 : random() % (most + 1));
      }
      REQUIRE(out.size_bytes() == expected.size() - sent.size());
      REQUIRE(out.empty() == (expected.size() == sent.size()));
    }
    sent += take(out, out.size_bytes());
    CHECK(sent == expected);
  }
}

TEST_CASE("a segment that is sent from where it is has its owner until its last byte is on its way") {
  OutputBuffer out;
  const auto first = append_frame(out, words(2, 1), words(3, 2));
  const auto second = append_frame(out, words(2, 3), words(3, 4));
  OutputBuffer moved = std::move(out);
  CHECK(take(moved, 2 * 8 + 2 * 8 + 3 * 8 - 1) == framed({words(2, 1), words(3, 2)}).substr(0, 55));
  CHECK_FALSE(first.expired());
  take(moved, 1);
  CHECK(first.expired());
  CHECK_FALSE(second.expired());
  moved = {};
  CHECK(second.expired());
}

TEST_CASE("a payload that has an owner is sent from where it is, and reads as one that has none") {
  const auto owned = std::make_shared<const std::vector<Word>>(words(100, 1));
  const Bytes payload = std::as_bytes(std::span(*owned)).first(795);
  const auto read = [&](const OutputBuffer& out, auto decode) {
    FrameReader reader;
    for (const auto piece : out.first_pieces()) feed(reader, as_text(piece));
    const auto frame = reader.next();
    REQUIRE((frame && frame->has_value()));
    return decode(**frame);
  };
  for (const BytesOwner& owner : {BytesOwner(owned), BytesOwner()}) {
    OutputBuffer out;
    encode_result(out, 7, {payload, Encoding::bytes, owner}, {.attempts = 2});
    CHECK(out.first_pieces()[1].empty() == (owner == nullptr));
    read(out, [&](const Frame& frame) {
      const auto message = decode_server_message(frame);
      REQUIRE(message.has_value());
      const auto& answer = std::get<AnswerView>(*message);
      CHECK(answer.id == 7);
      CHECK(answer.usage.attempts == 2);
      CHECK(std::get<ResultView>(answer.outcome).encoding == Encoding::bytes);
      CHECK(as_text(std::get<ResultView>(answer.outcome).payload) == as_text(payload));
    });

    OutputBuffer call;
    encode(call, WorkerCall{.id = 8, .function = "f", .payload = payload, .payload_owner = owner});
    CHECK(call.first_pieces()[1].empty() == (owner == nullptr));
    read(call, [&](const Frame& frame) {
      const auto request = decode_worker_request(frame);
      REQUIRE(request.has_value());
      CHECK(std::get<WorkerCall>(*request).function == "f");
      CHECK(as_text(std::get<WorkerCall>(*request).payload) == as_text(payload));
    });
  }
}

TEST_CASE("a payload that does not begin at the border of a word is copied whether or not it has an owner") {
  const auto owned = std::make_shared<const std::vector<Word>>(words(100, 1));
  OutputBuffer out;
  encode_result(out, 7, {std::as_bytes(std::span(*owned)).subspan(1, 700), Encoding::bytes, owned}, {});
  CHECK(out.first_pieces()[1].empty());
}

TEST_CASE("a small frame behind a large one arrives as it was") {
  OutputBuffer out;
  const auto large = words(17 * kMiB / sizeof(Word), 1);
  append_frame(out, large);
  append_frame(out, words(2, 2));
  std::string sent = take(out, 16 * kMiB + 5);
  append_frame(out, words(2, 3));
  sent += take(out, out.size_bytes());
  append_frame(out, words(2, 4));
  sent += take(out, out.size_bytes());
  CHECK((sent == framed({large}) + framed({words(2, 2)}) + framed({words(2, 3)}) + framed({words(2, 4)})));
}

TEST_CASE("an output buffer gives the memory of a large frame back as soon as it was sent") {
  const std::size_t before = array_bytes;
  OutputBuffer out;
  append_frame(out, words(17 * kMiB / sizeof(Word), 1));
  out.consume(out.size_bytes());
  CHECK(array_bytes - before <= 256 * 1024);
}

TEST_CASE("an output buffer that never runs empty needs memory for what it holds, not for what it has sent") {
  const std::size_t before = array_bytes;
  OutputBuffer out;
  append_frame(out, words(100, 1));
  for (int i = 0; i < 20'000; ++i) {
    append_frame(out, words(100, 1));
    out.consume(101 * sizeof(Word));
    REQUIRE(array_bytes - before <= 256 * 1024);
  }
}

TEST_CASE("an output buffer that was moved from is empty and takes new frames") {
  OutputBuffer first;
  append_frame(first, words(5, 1));
  OutputBuffer second = std::move(first);
  CHECK(first.empty());
  append_frame(first, words(6, 2));
  CHECK(as_text(first.data()) == framed({words(6, 2)}));
  CHECK(as_text(second.data()) == framed({words(5, 1)}));

  second = std::move(first);
  CHECK(first.empty());
  append_frame(first, words(7, 3));
  CHECK(as_text(first.data()) == framed({words(7, 3)}));
  CHECK(as_text(second.data()) == framed({words(6, 2)}));
}

}  // namespace
}  // namespace holdfast::ipc
