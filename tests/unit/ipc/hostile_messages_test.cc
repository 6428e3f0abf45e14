// Messages of a hostile client or worker: any message either decodes to values that are safe to use or is a protocol
// violation, and it costs no more than its size justifies.
#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/protocol.capnp.h"
#include "ipc/worker.capnp.h"
#include "ipc/worker_messages.h"
#include "tests/support/ipc_values.h"

namespace holdfast::ipc {
namespace {

using testing::describe;
using testing::for_each_protocol;
using testing::framed;
using testing::Segments;

// --- Cap'n Proto's pointers, by hand (https://capnproto.org/encoding.html) -----------------------------------------

constexpr Word offset_bits(std::int64_t words) { return (static_cast<Word>(words) << 2) & 0xFFFFFFFF; }
constexpr Word struct_pointer(std::int64_t offset, Word data_words, Word pointers) {
  return offset_bits(offset) | data_words << 32 | pointers << 48;
}
enum class Elements : Word { nothing, bit, byte, two_bytes, four_bytes, eight_bytes, pointer, composite };
constexpr Word list_pointer(std::int64_t offset, Elements elements, Word count) {
  return offset_bits(offset) | 1 | static_cast<Word>(elements) << 32 | count << 35;
}
constexpr Word far_pointer(Word segment, Word at_word, bool two_words = false) {
  return 2 | (two_words ? 4 : 0) | at_word << 3 | segment << 32;
}

// Decodes the bytes and returns the text of the violation, or a description of the message, or "refused as a frame".
template <typename Protocol>
std::string outcome(const std::string& bytes) {
  FrameReader reader;
  testing::feed(reader, bytes);
  const auto frame = reader.next();
  if (!frame) return "refused as a frame: " + frame.error().message;
  REQUIRE(frame->has_value());
  const auto message = Protocol::decode(**frame);
  return message ? "decoded: " + describe(*message) : "violation: " + message.error().message;
}

template <typename Protocol>
std::string outcome(capnp::MessageBuilder& builder) {
  const auto flat = capnp::messageToFlatArray(builder);
  return outcome<Protocol>(std::string(flat.asChars().begin(), flat.asChars().size()));
}

template <typename Protocol>
std::string outcome(const Segments& segments) {
  return outcome<Protocol>(framed(segments));
}

bool is_violation(const std::string& outcome) { return outcome.starts_with("violation: "); }

// Overwrites the number that says which union member is set.
template <typename Root>
void set_union_member(capnp::MallocMessageBuilder& builder, std::uint16_t number) {
  const auto offset = capnp::Schema::from<Root>().getProto().getStruct().getDiscriminantOffset();
  const auto segment = builder.getSegmentsForOutput()[0];
  // The root struct's data begins after the root pointer.
  const kj::byte* at = segment.asBytes().begin() + sizeof(Word) + offset * sizeof number;
  std::memcpy(const_cast<kj::byte*>(at), &number, sizeof number);
}

TEST_CASE("a frame without a word is a protocol violation of every protocol") {
  for_each_protocol([]<typename Protocol>(Protocol) {
    CHECK(is_violation(outcome<Protocol>(Segments{{}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{}, {}})));
    CHECK(is_violation(outcome<Protocol>(Segments(64))));
  });
}

TEST_CASE("a frame without segments is decoded or refused") {
  const Frame frame = {{}};
  for_each_protocol([&]<typename Protocol>(Protocol) { CHECK_FALSE(Protocol::decode(frame).has_value()); });
}

TEST_CASE("an empty root decodes as the message whose fields are all zero") {
  CHECK(outcome<testing::ClientProtocol>(Segments{{0}}) == "decoded: client hello version=0 name=0:");
  CHECK(outcome<testing::ServerProtocol>(Segments{{0}}).starts_with("decoded: server hello protocol=0"));
  CHECK(outcome<testing::WorkerProtocol>(Segments{{0}}) == "decoded: loaded");
}

TEST_CASE("an unknown kind of message is a protocol violation") {
  const auto check = []<typename Protocol, typename Root>(Protocol, Root*) {
    for (const std::uint16_t number : {30, 31, 77, 0x7FFF, 0xFFFF}) {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<Root>();
      set_union_member<Root>(builder, number);
      CHECK(outcome<Protocol>(builder) == "violation: a message of an unknown kind");
    }
  };
  check(testing::ClientProtocol{}, static_cast<wire::ClientMessage*>(nullptr));
  check(testing::ServerProtocol{}, static_cast<wire::ServerMessage*>(nullptr));
  check(testing::ZygoteReplyProtocol{}, static_cast<wire::ZygoteReply*>(nullptr));
  check(testing::WorkerRequestProtocol{}, static_cast<wire::WorkerRequest*>(nullptr));
  check(testing::WorkerProtocol{}, static_cast<wire::WorkerMessage*>(nullptr));
}

TEST_CASE("an answer that is neither result nor error is a protocol violation") {
  // The answer stands after the message; its union's number is the only word that is not zero.
  capnp::MallocMessageBuilder builder;
  auto answer = builder.initRoot<wire::WorkerMessage>().initAnswer();
  answer.initError();
  const auto offset = capnp::Schema::from<wire::Answer>().getProto().getStruct().getDiscriminantOffset();
  const auto words = builder.getSegmentsForOutput()[0];
  const auto root = capnp::Schema::from<wire::WorkerMessage>().getProto().getStruct();
  const std::size_t answer_at = 1 + root.getDataWordCount() + root.getPointerCount();
  const std::uint16_t unknown = 9;
  std::memcpy(const_cast<kj::byte*>(words.asBytes().begin()) + answer_at * sizeof(Word) + offset * sizeof unknown,
              &unknown, sizeof unknown);
  CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: an answer of an unknown kind");
}

TEST_CASE("a source or a registration that is neither of its kinds is a protocol violation") {
  // Sets the union's number of the struct right after the message.
  const auto set_kind = [](capnp::MessageBuilder& builder, capnp::StructSchema root, capnp::StructSchema inner) {
    const std::size_t inner_at =
        1 + root.getProto().getStruct().getDataWordCount() + root.getProto().getStruct().getPointerCount();
    const std::uint16_t unknown = 9;
    const auto bytes = builder.getSegmentsForOutput()[0].asBytes();
    std::memcpy(const_cast<kj::byte*>(bytes.begin()) + inner_at * sizeof(Word) +
                    inner.getProto().getStruct().getDiscriminantOffset() * sizeof unknown,
                &unknown, sizeof unknown);
  };
  capnp::MallocMessageBuilder source;
  source.initRoot<wire::ClientMessage>().initSource().setNotFound();
  set_kind(source, capnp::Schema::from<wire::ClientMessage>(), capnp::Schema::from<wire::Source>());
  CHECK(outcome<testing::ClientProtocol>(source) == "violation: a source of an unknown kind");
  capnp::MallocMessageBuilder registered;
  registered.initRoot<wire::ServerMessage>().initLoaderRegistered().setOk();
  set_kind(registered, capnp::Schema::from<wire::ServerMessage>(), capnp::Schema::from<wire::LoaderRegistered>());
  CHECK(outcome<testing::ServerProtocol>(registered) == "violation: a registration of an unknown kind");
}

TEST_CASE("a module that is wanted under a name that leads elsewhere is a protocol violation") {
  for (const auto& [module, version] :
       {std::pair{"../secrets", "v1"}, std::pair{"m", "v/1"}, std::pair{"", "v1"}, std::pair{"m", ".."}}) {
    capnp::MallocMessageBuilder builder;
    auto wanted = builder.initRoot<wire::ServerMessage>().initSourceWanted();
    wanted.setModule(module);
    wanted.setVersion(version);
    CHECK(
        outcome<testing::ServerProtocol>(builder).starts_with("violation: a module with an invalid name is wanted: "));
  }
}

TEST_CASE("the usage in an answer of a worker is ignored even if it cannot be decoded") {
  capnp::MallocMessageBuilder builder;
  auto answer = builder.initRoot<wire::WorkerMessage>().initAnswer();
  answer.setId(1);
  answer.initUsage().setCpuNanos(12345);
  CHECK(outcome<testing::WorkerProtocol>(builder) == "decoded: " + describe(AnswerView{1, ResultView{}}));

  // The usage is the answer's last pointer. This one leads far out of the segment.
  const auto root = capnp::Schema::from<wire::WorkerMessage>().getProto().getStruct();
  const auto layout = capnp::Schema::from<wire::Answer>().getProto().getStruct();
  const std::size_t usage_at =
      1 + root.getDataWordCount() + root.getPointerCount() + layout.getDataWordCount() + layout.getPointerCount() - 1;
  const Word astray = struct_pointer(0x1FFFFF, 1, 1);
  const auto words = builder.getSegmentsForOutput()[0].asBytes();
  std::memcpy(const_cast<kj::byte*>(words.begin()) + usage_at * sizeof(Word), &astray, sizeof astray);
  CHECK(outcome<testing::WorkerProtocol>(builder) == "decoded: " + describe(AnswerView{1, ResultView{}}));
}

TEST_CASE("a number beyond its enum is a protocol violation that names it") {
  for (const std::uint16_t number : {15, 16, 1000, 0xFFFF}) {
    const std::string text = std::to_string(number);
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::ClientMessage>().initCall().setEncoding(static_cast<wire::Encoding>(number));
      CHECK(outcome<testing::ClientProtocol>(builder) == "violation: unknown payload encoding " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::ClientMessage>().initCall().setArguments(static_cast<wire::ArgumentStyle>(number));
      CHECK(outcome<testing::ClientProtocol>(builder) == "violation: unknown argument style " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerRequest>().initCall().setEncoding(static_cast<wire::Encoding>(number));
      CHECK(outcome<testing::WorkerRequestProtocol>(builder) == "violation: unknown payload encoding " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerRequest>().initCall().setArguments(static_cast<wire::ArgumentStyle>(number));
      CHECK(outcome<testing::WorkerRequestProtocol>(builder) == "violation: unknown argument style " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerMessage>().initAnswer().initResult().setEncoding(
          static_cast<wire::Encoding>(number));
      CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: unknown result encoding " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerMessage>().initAnswer().initError().setCode(static_cast<wire::ErrorCode>(number));
      CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: unknown error code " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerMessage>().initLoadFailed().setExecuted(static_cast<wire::Executed>(number));
      CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: unknown value of Error.executed " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerMessage>().initLog().setLevel(static_cast<wire::LogLevel>(number));
      CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: unknown log level " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      builder.initRoot<wire::WorkerMessage>().initStopped().setReason(static_cast<wire::StopReason>(number));
      CHECK(outcome<testing::WorkerProtocol>(builder) == "violation: unknown stop reason " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      auto workers = builder.initRoot<wire::ServerMessage>().initWorkers().initWorkers(1);
      workers[0].setState(static_cast<wire::WorkerState>(number));
      CHECK(outcome<testing::ServerProtocol>(builder) == "violation: unknown worker state " + text);
    }
    {
      capnp::MallocMessageBuilder builder;
      auto modules = builder.initRoot<wire::ServerMessage>().initStats().initModules(1);
      modules[0].initErrors(1)[0].setCode(static_cast<wire::ErrorCode>(number));
      CHECK(outcome<testing::ServerProtocol>(builder) == "violation: unknown error code " + text);
    }
  }
}

TEST_CASE("the first number beyond each enum is a protocol violation") {
  capnp::MallocMessageBuilder level;
  level.initRoot<wire::WorkerMessage>().initLog().setLevel(static_cast<wire::LogLevel>(4));
  CHECK(is_violation(outcome<testing::WorkerProtocol>(level)));
  capnp::MallocMessageBuilder reason;
  reason.initRoot<wire::WorkerMessage>().initStopped().setReason(static_cast<wire::StopReason>(3));
  CHECK(is_violation(outcome<testing::WorkerProtocol>(reason)));
  capnp::MallocMessageBuilder executed;
  executed.initRoot<wire::WorkerMessage>().initLoadFailed().setExecuted(static_cast<wire::Executed>(3));
  CHECK(is_violation(outcome<testing::WorkerProtocol>(executed)));
  capnp::MallocMessageBuilder encoding;
  encoding.initRoot<wire::ClientMessage>().initCall().setEncoding(static_cast<wire::Encoding>(3));
  CHECK(is_violation(outcome<testing::ClientProtocol>(encoding)));
  capnp::MallocMessageBuilder result;
  result.initRoot<wire::ClientMessage>().initCall().setResultEncoding(static_cast<wire::ResultEncoding>(4));
  CHECK(is_violation(outcome<testing::ClientProtocol>(result)));
  capnp::MallocMessageBuilder chunk;
  chunk.initRoot<wire::WorkerMessage>().initChunk().setEncoding(static_cast<wire::Encoding>(3));
  CHECK(is_violation(outcome<testing::WorkerProtocol>(chunk)));
  capnp::MallocMessageBuilder arguments;
  arguments.initRoot<wire::ClientMessage>().initCall().setArguments(static_cast<wire::ArgumentStyle>(2));
  CHECK(is_violation(outcome<testing::ClientProtocol>(arguments)));
  capnp::MallocMessageBuilder state;
  state.initRoot<wire::ServerMessage>().initWorkers().initWorkers(1)[0].setState(static_cast<wire::WorkerState>(6));
  CHECK(is_violation(outcome<testing::ServerProtocol>(state)));
}

TEST_CASE("pointers out of bounds are protocol violations") {
  for_each_protocol([]<typename Protocol>(Protocol) {
    // The root struct begins after the segment, before it, or is longer than the rest of it.
    CHECK(is_violation(outcome<Protocol>(Segments{{struct_pointer(1, 1, 1), 0, 0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{struct_pointer(-2, 1, 1), 0, 0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{struct_pointer(0x1FFFFFFF, 1, 1), 0, 0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{struct_pointer(-0x20000000, 1, 1), 0, 0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{struct_pointer(0, 0xFFFF, 0xFFFF), 0, 0}})));
    // The root is not a struct.
    CHECK(is_violation(outcome<Protocol>(Segments{{list_pointer(0, Elements::byte, 8), 0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{3}})));
    // The root is said to be in a segment that does not exist, or outside of its segment.
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(1, 0)}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(0xFFFFFFFF, 0)}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(1, 5)}, {0}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(1, 0x1FFFFFFF, true)}, {0, 0}})));
  });
}

// A hello whose name is the given pointer. `rest` follows the message.
Segments hello_with_name(Word name, const std::vector<Word>& rest = {}) {
  const auto root = capnp::Schema::from<wire::ClientMessage>().getProto().getStruct();
  const auto hello = capnp::Schema::from<wire::ClientHello>().getProto().getStruct();
  REQUIRE(root.getPointerCount() == 1);
  REQUIRE(hello.getPointerCount() == 1);
  std::vector<Word> words = {struct_pointer(0, root.getDataWordCount(), 1)};
  words.resize(words.size() + root.getDataWordCount());  // union member 0: hello
  words.push_back(struct_pointer(0, hello.getDataWordCount(), 1));
  words.resize(words.size() + hello.getDataWordCount());
  words.push_back(name);
  words.insert(words.end(), rest.begin(), rest.end());
  return {words};
}

TEST_CASE("a text field that is something else than text is a protocol violation") {
  constexpr Word kAbc = 0x636261;
  CHECK(outcome<testing::ClientProtocol>(hello_with_name(list_pointer(0, Elements::byte, 4), {kAbc})) ==
        "decoded: client hello version=0 name=3:abc");
  const std::vector<Segments> all = {
      // Beyond the segment: by position, by length, and by so much that a sum in 32 bits would wrap around.
      hello_with_name(list_pointer(1, Elements::byte, 4), {kAbc}),
      hello_with_name(list_pointer(0, Elements::byte, 9), {kAbc}),
      hello_with_name(list_pointer(0, Elements::byte, 0x1FFFFFFF), {kAbc}),
      hello_with_name(list_pointer(-0x20000000, Elements::byte, 4), {kAbc}),
      // Lists of other elements, a struct, a capability.
      hello_with_name(list_pointer(0, Elements::nothing, 0x1FFFFFFF), {kAbc}),
      hello_with_name(list_pointer(0, Elements::bit, 4), {kAbc}),
      hello_with_name(list_pointer(0, Elements::two_bytes, 4), {kAbc}),
      hello_with_name(list_pointer(0, Elements::eight_bytes, 1), {kAbc}),
      hello_with_name(list_pointer(0, Elements::pointer, 1), {0}),
      hello_with_name(list_pointer(0, Elements::composite, 1), {struct_pointer(1, 1, 0), kAbc}),
      hello_with_name(struct_pointer(0, 1, 0), {kAbc}),
      hello_with_name(3),
  };
  for (std::size_t i = 0; i < all.size(); ++i) {
    CAPTURE(i);
    CHECK(is_violation(outcome<testing::ClientProtocol>(all[i])));
  }
}

TEST_CASE("a text without its terminator is a protocol violation") {
  CHECK(outcome<testing::ClientProtocol>(hello_with_name(list_pointer(0, Elements::byte, 8), {0x0067666564636261})) ==
        "decoded: client hello version=0 name=7:abcdefg");
  CHECK(is_violation(
      outcome<testing::ClientProtocol>(hello_with_name(list_pointer(0, Elements::byte, 8), {0x6867666564636261}))));
  CHECK(is_violation(outcome<testing::ClientProtocol>(hello_with_name(list_pointer(0, Elements::byte, 0), {0}))));
}

TEST_CASE("far pointers that lead in circles or onto far pointers are protocol violations") {
  for_each_protocol([]<typename Protocol>(Protocol) {
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(0, 0)}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(1, 0)}, {far_pointer(0, 0)}})));
    CHECK(is_violation(outcome<Protocol>(Segments{{far_pointer(1, 0)}, {far_pointer(2, 0)}, {far_pointer(1, 0)}})));
    CHECK(is_violation(
        outcome<Protocol>(Segments{{far_pointer(1, 0, true)}, {far_pointer(1, 0, true), far_pointer(1, 0)}})));
    // The pointer is its own landing pad, whose tag is a struct without fields.
    CHECK_FALSE(outcome<Protocol>(Segments{{far_pointer(0, 0, true), 0}}).empty());
  });
}

TEST_CASE("a struct that contains itself is decoded or refused, but decoding ends") {
  for_each_protocol([]<typename Protocol>(Protocol) {
    // Each pointer of each struct leads back to the root.
    std::vector<Word> words = {struct_pointer(0, 4, 4), 0, 0, 0, 0};
    for (std::int64_t i = 0; i < 4; ++i) words.push_back(struct_pointer(-5 - i, 4, 4));
    const std::string all_zero = outcome<Protocol>(Segments{words});
    for (Word member = 0; member < 6; ++member) {
      for (std::size_t at = 1; at <= 4; ++at) {
        auto changed = words;
        for (int shift = 0; shift < 64; shift += 16) changed[at] |= member << shift;
        CHECK_FALSE(outcome<Protocol>(Segments{changed}).empty());
      }
    }
    CHECK_FALSE(all_zero.empty());
  });
}

TEST_CASE("messages nested thousands of levels deep are decoded or refused without deep recursion") {
  std::vector<Word> words = {struct_pointer(0, 0, 1)};
  for (int i = 0; i < 100'000; ++i) words.push_back(struct_pointer(0, 0, 1));
  words.push_back(0);
  for_each_protocol([&]<typename Protocol>(Protocol) { CHECK_FALSE(outcome<Protocol>(Segments{words}).empty()); });
}

TEST_CASE("a direct line without a time for its calls is refused") {
  for (const std::uint64_t usual : {0, 1}) {
    capnp::MallocMessageBuilder builder;
    auto ok = builder.initRoot<wire::ServerMessage>().initLineOpened().initOk();
    ok.setDefaultTimeoutNanos(usual);
    ok.setLongestTimeoutNanos(1 - usual);
    CHECK(outcome<testing::ServerProtocol>(builder) == "violation: a direct line without timeouts for its calls");
  }
}

// --- amplification -------------------------------------------------------------------------------------------------

// A list of workers with the given list pointer. `rest` follows the message.
Segments worker_list(Word list, const std::vector<Word>& rest) {
  capnp::MallocMessageBuilder builder(64);
  builder.initRoot<wire::ServerMessage>().initWorkers().initWorkers(1);
  const auto segment = builder.getSegmentsForOutput()[0];
  std::vector<Word> words(segment.size());
  std::memcpy(words.data(), segment.begin(), segment.asBytes().size());
  // The list's pointer is the last word before the list, whose tag says that it has one element.
  const auto info = capnp::Schema::from<wire::WorkerInfo>().getProto().getStruct();
  words.resize(words.size() - info.getDataWordCount() - info.getPointerCount() - 2);
  words.push_back(list);
  words.insert(words.end(), rest.begin(), rest.end());
  return {words};
}

TEST_CASE("many fields that point to the same long text are refused, not copied again and again") {
  constexpr Word kWorkers = 1000;
  constexpr Word kTextWords = 128 * 1024;
  const auto info = capnp::Schema::from<wire::WorkerInfo>().getProto().getStruct();
  const Word data_words = info.getDataWordCount();
  std::vector<Word> rest = {struct_pointer(kWorkers, data_words, 2)};
  const std::int64_t text_at = 1 + static_cast<std::int64_t>(kWorkers * (data_words + 2));
  for (Word i = 0; i < kWorkers; ++i) {
    rest.resize(rest.size() + data_words);
    for (int field = 0; field < 2; ++field) {
      const auto here = static_cast<std::int64_t>(rest.size());
      rest.push_back(list_pointer(text_at - here - 1, Elements::byte, kTextWords * 8));
    }
  }
  rest.resize(rest.size() + kTextWords);
  const auto segments = worker_list(list_pointer(0, Elements::composite, kWorkers * (data_words + 2)), rest);
  CHECK(is_violation(outcome<testing::ServerProtocol>(segments)));
}

TEST_CASE("a list of nothing that claims to have many elements is refused") {
  CHECK(
      is_violation(outcome<testing::ServerProtocol>(worker_list(list_pointer(0, Elements::nothing, 0x1FFFFFFF), {}))));
  CHECK(is_violation(outcome<testing::ServerProtocol>(
      worker_list(list_pointer(0, Elements::composite, 0), {struct_pointer(0x1FFFFFFF, 0, 0)}))));
}

TEST_CASE("a list of single bytes is not taken for as many workers") {
  constexpr Word kBytes = std::size_t{1} << 20;
  const auto segments = worker_list(list_pointer(0, Elements::byte, kBytes), std::vector<Word>(kBytes / 8));
  CHECK(outcome<testing::ServerProtocol>(segments).substr(0, 100) ==
        "violation: a list of 1048576 workers; at most 65536 are accepted");
}

TEST_CASE("statistics of more modules than there may be, or of more errors, are refused") {
  {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<wire::ServerMessage>().initStats().initModules(kMaxModulesListed + 1);
    CHECK(outcome<testing::ServerProtocol>(builder) ==
          "violation: statistics of 16385 modules; at most 16384 are accepted");
  }
  {
    capnp::MallocMessageBuilder builder;
    builder.initRoot<wire::ServerMessage>().initStats().initModules(1)[0].initErrors(kErrorCodeCount + 1);
    CHECK(outcome<testing::ServerProtocol>(builder) == "violation: counts of 16 error codes; there are only 15");
  }
}

// --- random --------------------------------------------------------------------------------------------------------

// The fuzz targets search further; this many rounds find the easy cases, in seconds even under sanitizers.
constexpr int kRounds = 5000;

template <typename Protocol>
void decode_and_read(const std::string& bytes) {
  FrameReader reader;
  testing::feed(reader, bytes);
  // The test fails by an escaped exception, a crash or a sanitizer's report.
  while (true) {
    const auto frame = reader.next();
    if (!frame || !frame->has_value()) return;
    const auto message = Protocol::decode(**frame);
    if (message) {
      describe(*message);
    } else {
      REQUIRE_FALSE(message.error().message.empty());
    }
  }
}

TEST_CASE("random words in any number of segments decode or are violations") {
  std::mt19937_64 random(1);
  for (int i = 0; i < kRounds; ++i) {
    CAPTURE(i);
    Segments segments(1 + random() % 4);
    for (auto& segment : segments) {
      segment.resize(random() % 24);
      for (Word& word : segment) {
        // Half of the words look like pointers to nearby words.
        word = random();
        if (word % 2 == 0) word &= 0x0003'0003'0000'003F | (random() % 4 == 0 ? 0xFFFF'FFC0 : 0);
      }
    }
    const std::string bytes = framed(segments);
    for_each_protocol([&]<typename Protocol>(Protocol) { decode_and_read<Protocol>(bytes); });
  }
}

TEST_CASE("random bytes never pass as a message that they are not") {
  std::mt19937_64 random(2);
  for (int i = 0; i < kRounds; ++i) {
    CAPTURE(i);
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (bytes.size() >= 8 && random() % 2 == 0) {
      const Word header = (random() % 8) << 32;
      std::memcpy(bytes.data(), &header, sizeof header);
    }
    for_each_protocol([&]<typename Protocol>(Protocol) { decode_and_read<Protocol>(bytes); });
  }
}

std::vector<std::string> valid_messages() {
  std::vector<std::string> all;
  const auto add = [&]<typename Protocol, typename Message>(Protocol, const Message& message) {
    OutputBuffer out;
    Protocol::encode(out, message);
    all.emplace_back(as_text(out.data()));
  };
  const Error error = {.code = ErrorCode::exception, .message = "message", .stack = "stack", .detail = "detail"};
  add(testing::ClientProtocol{}, ClientMessage(ClientHello{1, "name"}));
  add(testing::ClientProtocol{},
      ClientMessage(CallRequest{.id = 1, .module = "m", .version = "v", .function = "f", .payload = as_bytes("{}")}));
  add(testing::ClientProtocol{}, ClientMessage(RegisterLoaderRequest{1, std::chrono::seconds(1)}));
  add(testing::ClientProtocol{}, ClientMessage(SourceReply{1, SourceCode{as_bytes("source"), "m.js"}}));
  add(testing::ClientProtocol{}, ClientMessage(SourceReply{1, SourceFailed{"reason"}}));
  add(testing::ServerProtocol{}, ServerMessage(LoaderRegistered{1, error}));
  add(testing::ServerProtocol{}, ServerMessage(SourceWanted{1, {"m", "v1"}}));
  add(testing::ClientProtocol{}, ClientMessage(SubscribeLogsRequest{1, "m", "v1", 2, true}));
  add(testing::ServerProtocol{}, ServerMessage(LogRecordMessage{.record = {.module = "m", .text = "text"}}));
  add(testing::ServerProtocol{}, ServerMessage(LogsSubscribed{1, error}));
  add(testing::ClientProtocol{}, ClientMessage(OpenLineRequest{1, "m", "v1"}));
  add(testing::ClientProtocol{}, ClientMessage(LineCallOverdue{1, 2}));
  add(testing::ServerProtocol{},
      ServerMessage(LineOpened{1, CallTimeouts{std::chrono::seconds(1), std::chrono::seconds(1)}}));
  add(testing::ServerProtocol{}, ServerMessage(LineOpened{1, error}));
  add(testing::ServerProtocol{}, ServerMessage(LineEnded{1, 2, 1, error, error}));
  add(testing::ServerProtocol{}, ServerMessage(LineClosing{1}));
  add(testing::ServerProtocol{}, ServerMessage(ServerHello{1, "0.1.0", 1, 2, 3, 4}));
  add(testing::ServerProtocol{}, ServerMessage(AnswerView{1, ResultView{as_bytes("{}")}, Usage{.attempts = 1}}));
  add(testing::ServerProtocol{}, ServerMessage(AnswerView{1, error}));
  add(testing::ServerProtocol{}, ServerMessage(WorkerList{1, {WorkerInfo{.module = "m"}, WorkerInfo{.version = "v"}}}));
  add(testing::ServerProtocol{},
      ServerMessage(Stats{1, {ModuleStats{.module = "m", .errors = {{ErrorCode::exception, 1}}}}, {}}));
  add(testing::WorkerRequestProtocol{},
      WorkerRequest(LoadRequest{
          "m", "v", "m.js", as_bytes("source"), 1, 2, std::chrono::nanoseconds(1), true, 3, true, {{"KEY", "value"}}}));
  add(testing::WorkerRequestProtocol{}, WorkerRequest(WorkerCall{.id = 1, .function = "f", .payload = as_bytes("{}")}));
  add(testing::WorkerProtocol{}, WorkerMessage(LogLine{LogLevel::info, "text", 1}));
  add(testing::WorkerProtocol{}, WorkerMessage(Stopped{StopReason::fatal, 1, "stack", "detail"}));
  add(testing::WorkerProtocol{}, WorkerMessage(LoadFailed{error}));
  add(testing::ZygoteReplyProtocol{}, ZygoteReply(WorkerForkFailed{1, "reason"}));
  return all;
}

TEST_CASE("valid messages with some bits flipped decode or are violations") {
  const auto messages = valid_messages();
  std::mt19937_64 random(3);
  for (int i = 0; i < kRounds; ++i) {
    CAPTURE(i);
    std::string bytes = messages[random() % messages.size()];
    for (auto flips = 1 + random() % 6; flips > 0; --flips) {
      char& c = bytes[random() % bytes.size()];
      c = static_cast<char>(c ^ (1 << random() % 8));
    }
    for_each_protocol([&]<typename Protocol>(Protocol) { decode_and_read<Protocol>(bytes); });
  }
}

}  // namespace
}  // namespace holdfast::ipc
