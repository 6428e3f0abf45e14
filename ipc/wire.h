// From frames to Cap'n Proto readers and back, with the limits that make a hostile message harmless. Only the
// *_message.cc and *_messages.cc files include this.
#pragma once

#include <capnp/message.h>
#include <capnp/orphan.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include "ipc/client_messages.h"
#include "ipc/frame.h"
#include "ipc/protocol.capnp.h"

namespace holdfast::ipc {

inline std::string_view view(capnp::Text::Reader text) { return {text.begin(), text.size()}; }
inline Bytes view(capnp::Data::Reader data) { return {reinterpret_cast<const std::byte*>(data.begin()), data.size()}; }

inline capnp::Data::Reader to_data(Bytes bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

// A duration from a peer. Never negative; cut to what std::chrono::nanoseconds can hold.
inline std::chrono::nanoseconds read_duration(std::uint64_t nanos) {
  return std::chrono::nanoseconds(std::min<std::uint64_t>(nanos, std::chrono::nanoseconds::max().count()));
}

inline std::uint64_t as_nanos(std::chrono::nanoseconds duration) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
}

// A timeout from a peer, cut to a year: no call lasts that long, and more could overflow when added to a clock's
// time.
inline std::chrono::nanoseconds read_timeout(std::uint64_t nanos) {
  return std::min(read_duration(nanos), std::chrono::nanoseconds(std::chrono::hours(365 * 24)));
}

// Words that a text or data field of this size takes in a message, with the terminator of a text.
inline std::size_t words_for(std::size_t bytes) { return bytes / sizeof(Word) + 1; }

// Checks an enum's number: a peer of a later version, or a hostile one, may send any 16 bits.
template <typename To, typename From>
tl::expected<To, ProtocolViolation> checked_enum(From value, std::uint16_t count, const char* what) {
  const auto number = static_cast<std::uint16_t>(value);
  if (number >= count) {
    return tl::unexpected(ProtocolViolation{std::string("unknown ") + what + " " + std::to_string(number)});
  }
  return static_cast<To>(number);
}

constexpr std::uint16_t kEncodingCount = 3;
constexpr std::uint16_t kResultEncodingCount = 4;
constexpr std::uint16_t kArgumentStyleCount = 2;
constexpr std::uint16_t kLogLevelCount = 4;

// Calls `decode(root)` on the frame's message. The traversal limit is a small multiple of the frame's own size, so
// that pointers which overlap cannot make a small frame expensive; nothing in the protocol nests deeper than 8.
template <typename Root, typename Decode>
auto read_message(const Frame& frame, Decode decode) -> decltype(decode(std::declval<typename Root::Reader>())) {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = frame.total_words() * 4 + 64;
  options.nestingLimit = 8;
  static_assert(sizeof(capnp::word) == sizeof(Word));
  try {
    std::array<kj::ArrayPtr<const capnp::word>, 64> segments;
    if (frame.segments.size() > segments.size()) return tl::unexpected(ProtocolViolation{"too many segments"});
    for (std::size_t i = 0; i < frame.segments.size(); ++i) {
      segments[i] = {reinterpret_cast<const capnp::word*>(frame.segments[i].data()), frame.segments[i].size()};
    }
    capnp::SegmentArrayMessageReader reader(kj::arrayPtr(segments.data(), frame.segments.size()), options);
    return decode(reader.getRoot<Root>());
  } catch (const kj::Exception& exception) {
    return tl::unexpected(
        ProtocolViolation{std::string("malformed Cap'n Proto message: ") + exception.getDescription().cStr()});
  }
}

// Builds one message directly in the output buffer. `payload_words` is the size of the one field that may be large,
// and `field_words` bounds the size of all other variable-size fields together (words_for()). The fixed parts of
// every message fit into kFixedWords.
template <typename Root, typename Fill>
void write_message(OutputBuffer& out, std::size_t field_words, std::size_t payload_words, Fill fill) {
  constexpr std::size_t kFixedWords = 32;
  const std::span<Word> space = out.begin_frame(field_words + kFixedWords, payload_words);
  capnp::FlatMessageBuilder builder(kj::arrayPtr(reinterpret_cast<capnp::word*>(space.data()), space.size()));
  fill(builder.initRoot<Root>());
  out.finish_frame(builder.getSegmentsForOutput()[0].size());
}

template <typename Root, typename Fill>
void write_message(OutputBuffer& out, std::size_t field_words, Fill fill) {
  write_message<Root>(out, field_words, 0, std::move(fill));
}

// Whether write_message_in_place() can send the payload: it has an owner, is not empty and is aligned to words,
// because Cap'n Proto requires its segments to begin at a word boundary, and reads to the next boundary after their
// end.
inline bool can_stay_in_place(Bytes payload, const BytesOwner& owner) {
  return owner && !payload.empty() && reinterpret_cast<std::uintptr_t>(payload.data()) % sizeof(Word) == 0;
}

// Builds one message whose payload stays where it is, as the message's second segment; only if can_stay_in_place().
// `fill` gets the root, and the field to adopt. `field_words` bounds the size of the other variable-size fields.
template <typename Root, typename Fill>
void write_message_in_place(OutputBuffer& out, std::size_t field_words, Bytes payload, const BytesOwner& owner,
                            Fill fill) {
  constexpr std::size_t kFixedWords = 32;
  const std::span<Word> space = out.begin_frame_in_place(field_words + kFixedWords);
  capnp::FlatMessageBuilder builder(kj::arrayPtr(reinterpret_cast<capnp::word*>(space.data()), space.size()));
  fill(builder.initRoot<Root>(), builder.getOrphanage().referenceExternalData(to_data(payload)));
  const auto segments = builder.getSegmentsForOutput();
  out.finish_frame_in_place(segments[0].size(),
                            {reinterpret_cast<const Word*>(segments[1].begin()), segments[1].size()}, owner);
}

// Copies text into a message: `init` is the field's initX(size).
template <typename Init>
void set_text(std::string_view text, Init init) {
  capnp::Text::Builder field = init(static_cast<unsigned>(text.size()));
  std::copy(text.begin(), text.end(), field.begin());
}

inline std::size_t words_for(const Error& error) {
  return words_for(error.message.size()) + words_for(error.stack.size()) + words_for(error.detail.size()) +
         words_for(error.properties.size());
}

// The amounts that the usage of a call and the sums of a module have in common, by the same names.
template <typename Reader, typename Values>
void read_amounts(Reader from, Values& to) {
  to.queue = read_duration(from.getQueueNanos());
  to.load = read_duration(from.getLoadNanos());
  to.run = read_duration(from.getRunNanos());
  to.cpu = read_duration(from.getCpuNanos());
  to.peak_memory_bytes = from.getPeakMemoryBytes();
  to.bytes_in = from.getBytesIn();
  to.bytes_out = from.getBytesOut();
}

template <typename Builder, typename Values>
void write_amounts(Builder to, const Values& from) {
  to.setQueueNanos(as_nanos(from.queue));
  to.setLoadNanos(as_nanos(from.load));
  to.setRunNanos(as_nanos(from.run));
  to.setCpuNanos(as_nanos(from.cpu));
  to.setPeakMemoryBytes(from.peak_memory_bytes);
  to.setBytesIn(from.bytes_in);
  to.setBytesOut(from.bytes_out);
}

tl::expected<SourceReply, ProtocolViolation> read_source(wire::Source::Reader from);
tl::expected<LoaderRegistered, ProtocolViolation> read_loader_registered(wire::LoaderRegistered::Reader from);
tl::expected<SourceWanted, ProtocolViolation> read_source_wanted(wire::SourceWanted::Reader from);
tl::expected<SubscribeLogsRequest, ProtocolViolation> read_subscribe_logs(wire::SubscribeLogs::Reader from);
tl::expected<LogRecordMessage, ProtocolViolation> read_log_record(wire::LogRecord::Reader from);
tl::expected<LogsSubscribed, ProtocolViolation> read_logs_subscribed(wire::LogsSubscribed::Reader from);
tl::expected<LineOpened, ProtocolViolation> read_line_opened(wire::LineOpened::Reader from);
tl::expected<LineEnded, ProtocolViolation> read_line_ended(wire::LineEnded::Reader from);
tl::expected<Stats, ProtocolViolation> read_stats(wire::Stats::Reader from);
void write_error(wire::Error::Builder to, const Error& error);
tl::expected<Error, ProtocolViolation> read_error(wire::Error::Reader from);
void write_result(wire::Answer::Builder to, std::uint64_t id, const ResultView& result);
// Reads an answer without its usage, which is valid only from the supervisor.
tl::expected<AnswerView, ProtocolViolation> read_answer(wire::Answer::Reader from);
void write_chunk(wire::Chunk::Builder to, const ChunkView& chunk);
tl::expected<ChunkView, ProtocolViolation> read_chunk(wire::Chunk::Reader from);

}  // namespace holdfast::ipc
