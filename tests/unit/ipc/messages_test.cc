#include <capnp/message.h>
#include <capnp/schema.h>
#include <capnp/serialize.h>
#include <doctest/doctest.h>

#include <cctype>
#include <limits>
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

using testing::after_a_round_trip;
using testing::ClientProtocol;
using testing::describe;
using testing::ServerProtocol;
using testing::WorkerProtocol;
using testing::WorkerRequestProtocol;
using testing::ZygoteReplyProtocol;
using testing::ZygoteRequestProtocol;

constexpr auto kMax64 = std::numeric_limits<std::uint64_t>::max();

constexpr Usage kUsage = {.queue = std::chrono::nanoseconds(1),
                          .load = std::chrono::nanoseconds(2),
                          .run = std::chrono::nanoseconds::max(),
                          .cpu = std::chrono::nanoseconds(4),
                          .peak_memory_bytes = kMax64,
                          .bytes_in = kMax64 - 1,
                          .bytes_out = kMax64 - 2,
                          .attempts = 0xFFFFFFFF,
                          .cold = true};

// Contents of texts and payloads: none, ASCII of about a word's length, other scripts, bytes that are not text, and
// more than any payload limit.
const std::vector<std::string>& contents() {
  static const std::vector<std::string> all = [] {
    std::mt19937_64 random(1);
    std::string large;
    while (large.size() < std::size_t{17} << 20) {
      const std::uint64_t word = random();
      large.append(reinterpret_cast<const char*>(&word), sizeof word);
    }
    return std::vector<std::string>{"",
                                    "1234567",
                                    "12345678",
                                    "123456789",
                                    "Grüße, 日本語 😀",
                                    std::string("with\0zeros\0", 11),
                                    "\xFF\xFE\x80 not UTF-8 \xC3",
                                    std::string(1, '\0'),
                                    std::move(large)};
  }();
  return all;
}

template <typename Protocol, typename Message>
void check_round_trip(const Message& message) {
  const auto arrived = after_a_round_trip<Protocol>(message);
  REQUIRE(arrived.has_value());
  // Not CHECK(a == b): a failure would print 17 MB.
  const bool same = *arrived == describe(message);
  CHECK_MESSAGE(same, arrived->substr(0, 300), " is not ", describe(message).substr(0, 300));
}

// All numbers differ, so that none can pass for its neighbour.
Stats stats_with(const std::string& text) {
  using Nanoseconds = std::chrono::nanoseconds;
  const ModuleStats module = {.module = text,
                              .version = text,
                              .calls = 1,
                              .results = 2,
                              .errors = {{ErrorCode::exception, 3}, {ErrorCode::unavailable, kMax64}},
                              .refused = 4,
                              .retries = 5,
                              .cold_starts = 6,
                              .evictions = 7,
                              .drains = 8,
                              .queued = 9,
                              .calls_in_flight = 10,
                              .instances = 0xFFFFFFFF,
                              .queue = Nanoseconds(11),
                              .load = Nanoseconds(12),
                              .run = Nanoseconds(13),
                              .cpu = Nanoseconds::max(),
                              .bytes_in = 14,
                              .bytes_out = 15,
                              .peak_memory_bytes = 16,
                              .held_off = Nanoseconds(17),
                              .held_off_reason = text};
  const StatsTotals totals = {.version = text,
                              .uptime = Nanoseconds(18),
                              .clients = 19,
                              .workers = 20,
                              .max_workers = 21,
                              .standbys = 22,
                              .standby_target = 23,
                              .queued = 24,
                              .calls_in_flight = 25,
                              .waiting_modules = 26,
                              .modules = 27,
                              .forks = 28,
                              .memory_bytes = 29};
  return {30, {module, ModuleStats{}}, totals};
}

TEST_CASE("every message between client and supervisor arrives as it was sent, whatever its contents") {
  for (const std::string& text : contents()) {
    CAPTURE(text.size());
    check_round_trip<ClientProtocol>(ClientMessage(ClientHello{7, text}));
    check_round_trip<ClientProtocol>(ClientMessage(CallRequest{.id = 1,
                                                               .module = text,
                                                               .version = "v1",
                                                               .function = text,
                                                               .payload = as_bytes(text),
                                                               .arguments = ArgumentStyle::positional,
                                                               .timeout = std::chrono::nanoseconds(1'234'567'890'123),
                                                               .idempotent = true,
                                                               .result_encoding = ResultEncoding::structured,
                                                               .stream_window_bytes = kMaxStreamWindowBytes,
                                                               .logs = true}));
    check_round_trip<ServerProtocol>(ServerMessage(ChunkView{kMax64, {as_bytes(text), Encoding::structured}}));
    check_round_trip<WorkerProtocol>(WorkerMessage(ChunkView{kMax64 - 1, {as_bytes(text), Encoding::bytes}}));
    check_round_trip<WorkerProtocol>(WorkerMessage(WorkerRan{kMax64, std::chrono::microseconds(1000)}));
    check_round_trip<ClientProtocol>(ClientMessage(SourceReply{kMax64, SourceCode{as_bytes(text), text}}));
    check_round_trip<ClientProtocol>(ClientMessage(SourceReply{2, SourceFailed{text}}));
    check_round_trip<ServerProtocol>(ServerMessage(LoaderRegistered{
        3, Error{.code = ErrorCode::permission_denied, .message = text, .stack = {}, .detail = text}}));
    check_round_trip<ServerProtocol>(ServerMessage(ServerHello{7, text, 1, 2, 3, 4}));
    check_round_trip<ServerProtocol>(ServerMessage(AnswerView{1, ResultView{as_bytes(text)}, kUsage}));
    check_round_trip<ServerProtocol>(ServerMessage(AnswerView{kMax64,
                                                              Error{.code = ErrorCode::exception,
                                                                    .message = text,
                                                                    .stack = text,
                                                                    .retryable = true,
                                                                    .executed = Executed::yes,
                                                                    .detail = text,
                                                                    .retry_after = std::chrono::milliseconds(250)},
                                                              kUsage}));
    check_round_trip<ServerProtocol>(
        ServerMessage(WorkerList{3,
                                 {WorkerInfo{}, WorkerInfo{-1, text, text, WorkerState::busy, 4, 5, 6,
                                                           std::chrono::hours(1), std::chrono::seconds(7)}}}));
    check_round_trip<ServerProtocol>(ServerMessage(stats_with(text)));
    for (const auto purpose : {LogRecordMessage::For::subscription, LogRecordMessage::For::call}) {
      check_round_trip<ServerProtocol>(ServerMessage(LogRecordMessage{purpose,
                                                                      kMax64,
                                                                      {.time = std::chrono::nanoseconds(1),
                                                                       .level = LogLevel::warning,
                                                                       .module = text,
                                                                       .version = text,
                                                                       .request_id = text,
                                                                       .text = text,
                                                                       .dropped = 5}}));
    }
    check_round_trip<ServerProtocol>(
        ServerMessage(LogsSubscribed{3, Error{.code = ErrorCode::permission_denied, .message = text}}));
    const Error error{
        .code = ErrorCode::unavailable, .message = text, .stack = text, .executed = Executed::maybe, .detail = text};
    check_round_trip<ClientProtocol>(ClientMessage(OpenLineRequest{kMax64, text, text}));
    check_round_trip<ServerProtocol>(ServerMessage(LineOpened{kMax64, error}));
    check_round_trip<ServerProtocol>(ServerMessage(LineEnded{kMax64, kMax64 - 1, kMax64 - 2, error, error}));
    check_round_trip<ServerProtocol>(ServerMessage(ProtocolViolation{text}));
  }
  check_round_trip<ClientProtocol>(ClientMessage(CallRequest{}));
  check_round_trip<ClientProtocol>(ClientMessage(StreamGrant{kMax64, kMax64 - 1}));
  check_round_trip<WorkerRequestProtocol>(WorkerRequest(StreamGrant{kMax64, kMax64 - 1}));
  check_round_trip<ClientProtocol>(ClientMessage(CancelRequest{kMax64}));
  check_round_trip<ClientProtocol>(ClientMessage(ListWorkersRequest{kMax64}));
  check_round_trip<ServerProtocol>(ServerMessage(ServerHello{0xFFFF, "", kMax64, kMax64, 0xFFFFFFFF}));
  check_round_trip<ServerProtocol>(ServerMessage(AnswerView{0, Error{}}));
  check_round_trip<ServerProtocol>(ServerMessage(WorkerList{}));
  check_round_trip<ClientProtocol>(ClientMessage(StatsRequest{kMax64}));
  check_round_trip<ClientProtocol>(ClientMessage(RegisterLoaderRequest{kMax64, std::chrono::hours(1)}));
  check_round_trip<ClientProtocol>(ClientMessage(SourceReply{1, SourceNotFound{}}));
  check_round_trip<ServerProtocol>(ServerMessage(LoaderRegistered{kMax64}));
  check_round_trip<ServerProtocol>(ServerMessage(SourceWanted{kMax64, {std::string(64, 'm'), "v1.0.0"}}));
  check_round_trip<ServerProtocol>(ServerMessage(Stats{}));
  check_round_trip<ClientProtocol>(ClientMessage(SubscribeLogsRequest{kMax64, "", "", 0xFFFFFFFF, true}));
  check_round_trip<ClientProtocol>(ClientMessage(SubscribeLogsRequest{1, "m", std::string_view("v1.0.0"), 0, false}));
  check_round_trip<ClientProtocol>(ClientMessage(EndLogsRequest{kMax64}));
  check_round_trip<ServerProtocol>(ServerMessage(LogRecordMessage{}));
  check_round_trip<ServerProtocol>(ServerMessage(LogsSubscribed{kMax64}));
  check_round_trip<ClientProtocol>(ClientMessage(LineCallOverdue{kMax64, kMax64 - 1, true}));
  check_round_trip<ServerProtocol>(
      ServerMessage(LineOpened{kMax64, CallTimeouts{std::chrono::nanoseconds(1), std::chrono::hours(1)}}));
  check_round_trip<ServerProtocol>(ServerMessage(LineEnded{}));
  check_round_trip<ServerProtocol>(ServerMessage(LineClosing{kMax64}));
  check_round_trip<ServerProtocol>(ServerMessage(WorkerList{1, {WorkerInfo{.line = true}}}));
}

TEST_CASE("every message between supervisor, zygote and worker arrives as it was sent, whatever its contents") {
  for (const std::string& text : contents()) {
    CAPTURE(text.size());
    check_round_trip<ZygoteReplyProtocol>(ZygoteReply(WorkerForkFailed{kMax64, text}));
    check_round_trip<ZygoteReplyProtocol>(ZygoteReply(ZygoteFailed{text}));
    check_round_trip<WorkerRequestProtocol>(WorkerRequest(LoadRequest{text,
                                                                      text,
                                                                      text,
                                                                      as_bytes(text),
                                                                      kMax64,
                                                                      kMax64 - 1,
                                                                      std::chrono::nanoseconds(kMax64 / 2),
                                                                      true,
                                                                      kMax64 - 2,
                                                                      true,
                                                                      {{text, text}, {"", text}}}));
    check_round_trip<WorkerRequestProtocol>(
        WorkerRequest(WorkerCall{kMax64, text, as_bytes(text), Encoding::json, ArgumentStyle::positional,
                                 std::chrono::steady_clock::time_point::max()}));
    check_round_trip<WorkerProtocol>(
        WorkerMessage(LoadFailed{Error{.message = text, .stack = text, .detail = text, .properties = text}}));
    check_round_trip<WorkerProtocol>(WorkerMessage(AnswerView{kMax64, ResultView{as_bytes(text)}}));
    check_round_trip<WorkerProtocol>(
        WorkerMessage(AnswerView{1, Error{.message = text, .stack = text, .detail = text, .properties = text}}));
    check_round_trip<WorkerProtocol>(WorkerMessage(LogLine{LogLevel::error, text, kMax64, kMax64 - 1}));
    check_round_trip<WorkerProtocol>(WorkerMessage(Stopped{StopReason::soft_stop, kMax64, text, text}));
  }
  check_round_trip<ZygoteRequestProtocol>(ForkRequest{kMax64});
  check_round_trip<ZygoteReplyProtocol>(ZygoteReply(ZygoteReady{}));
  check_round_trip<ZygoteReplyProtocol>(ZygoteReply(WorkerForked{kMax64}));
  check_round_trip<ZygoteReplyProtocol>(ZygoteReply(WorkerExited{1, -1}));
  check_round_trip<WorkerRequestProtocol>(WorkerRequest(WorkerCancel{kMax64, CancelReason::cancelled}));
  check_round_trip<WorkerRequestProtocol>(WorkerRequest(OpenWorkerLine{
      kMax64, std::chrono::nanoseconds(1), std::chrono::hours(1), 0xFFFFFFFF, std::chrono::milliseconds(1)}));
  check_round_trip<WorkerRequestProtocol>(WorkerRequest(CloseWorkerLine{}));
  check_round_trip<WorkerProtocol>(WorkerMessage(WorkerReady{}));
  check_round_trip<WorkerProtocol>(WorkerMessage(Loaded{}));
}

TEST_CASE("every value of every enum arrives as it was sent") {
  for (std::uint16_t code = 0; code < kErrorCodeCount; ++code) {
    for (std::uint16_t executed = 0; executed < 3; ++executed) {
      check_round_trip<ServerProtocol>(ServerMessage(
          AnswerView{1, Error{.code = static_cast<ErrorCode>(code), .executed = static_cast<Executed>(executed)}}));
    }
  }
  for (std::uint16_t state = 0; state < kWorkerStateCount; ++state) {
    check_round_trip<ServerProtocol>(
        ServerMessage(WorkerList{1, {WorkerInfo{.state = static_cast<WorkerState>(state)}}}));
  }
  for (std::uint16_t level = 0; level < 4; ++level) {
    check_round_trip<WorkerProtocol>(WorkerMessage(LogLine{.level = static_cast<LogLevel>(level)}));
  }
  for (std::uint16_t reason = 0; reason < 3; ++reason) {
    check_round_trip<WorkerProtocol>(WorkerMessage(Stopped{.reason = static_cast<StopReason>(reason)}));
  }
  for (std::uint16_t reason = 0; reason < 2; ++reason) {
    check_round_trip<WorkerRequestProtocol>(WorkerRequest(WorkerCancel{.reason = static_cast<CancelReason>(reason)}));
  }
  for (std::uint16_t encoding = 0; encoding < 3; ++encoding) {
    check_round_trip<ClientProtocol>(ClientMessage(CallRequest{.encoding = static_cast<Encoding>(encoding)}));
    check_round_trip<ServerProtocol>(ServerMessage(ChunkView{1, {{}, static_cast<Encoding>(encoding)}}));
  }
  for (std::uint16_t encoding = 0; encoding < 4; ++encoding) {
    const auto result = static_cast<ResultEncoding>(encoding);
    check_round_trip<ClientProtocol>(ClientMessage(CallRequest{.result_encoding = result}));
    check_round_trip<WorkerRequestProtocol>(WorkerRequest(WorkerCall{.result_encoding = result}));
  }
  for (std::uint16_t style = 0; style < 2; ++style) {
    check_round_trip<ClientProtocol>(ClientMessage(CallRequest{.arguments = static_cast<ArgumentStyle>(style)}));
    check_round_trip<WorkerRequestProtocol>(WorkerRequest(WorkerCall{.arguments = static_cast<ArgumentStyle>(style)}));
  }
}

TEST_CASE("a cancellation for a worker is told from every other message") {
  const auto cancelled = [](const WorkerRequest& request) {
    OutputBuffer out;
    WorkerRequestProtocol::encode(out, request);
    FrameReader reader;
    testing::feed(reader, as_text(out.data()));
    return cancelled_worker_call(**reader.next());
  };
  CHECK(cancelled(WorkerCancel{}) == 0u);
  CHECK(cancelled(WorkerCancel{kMax64, CancelReason::deadline_exceeded}) == kMax64);
  CHECK_FALSE(cancelled(WorkerCall{}));
  CHECK_FALSE(cancelled(WorkerCall{.id = 1, .function = "f", .payload = as_bytes("1")}));
  CHECK_FALSE(cancelled(LoadRequest{}));
  CHECK_FALSE(cancelled(StreamGrant{1, 2}));
}

TEST_CASE("a client's cancellation is told from every other message") {
  const auto cancelled = [](const ClientMessage& message) {
    OutputBuffer out;
    ClientProtocol::encode(out, message);
    FrameReader reader;
    testing::feed(reader, as_text(out.data()));
    return cancelled_call(**reader.next());
  };
  CHECK(cancelled(CancelRequest{}) == 0u);
  CHECK(cancelled(CancelRequest{kMax64}) == kMax64);
  CHECK_FALSE(cancelled(CallRequest{}));
  CHECK_FALSE(cancelled(CallRequest{.id = 1, .function = "f", .payload = as_bytes("1")}));
  CHECK_FALSE(cancelled(StreamGrant{1, 2}));
}

TEST_CASE("a list of a thousand workers arrives as it was sent") {
  WorkerList list{9, {}};
  for (int i = 0; i < 1000; ++i) {
    list.workers.push_back({.pid = i, .module = std::string(static_cast<std::size_t>(i % 65), 'm'), .version = "v"});
  }
  check_round_trip<ServerProtocol>(ServerMessage(list));
}

TEST_CASE("statistics of as many modules as may be listed arrive as they were sent") {
  Stats stats;
  for (std::size_t i = 0; i < kMaxModulesListed; ++i) {
    stats.modules.push_back({.module = std::string(i % 65, 'm'), .version = "v", .errors = {}, .held_off_reason = ""});
    stats.modules.back().errors.resize(i % (kErrorCodeCount + 1));
  }
  check_round_trip<ServerProtocol>(ServerMessage(stats));
}

TEST_CASE("a timeout of centuries is shortened to one that can be added to a clock") {
  OutputBuffer out;
  encode(out, CallRequest{.timeout = std::chrono::nanoseconds::max()});
  FrameReader reader;
  testing::feed(reader, as_text(out.data()));
  const auto message = decode_client_message(**reader.next());
  CHECK(std::get<CallRequest>(*message).timeout == std::chrono::hours(365 * 24));

  OutputBuffer other;
  encode(other, RegisterLoaderRequest{.timeout = std::chrono::nanoseconds::max()});
  testing::feed(reader, as_text(other.data()));
  const auto registration = decode_client_message(**reader.next());
  CHECK(std::get<RegisterLoaderRequest>(*registration).timeout == std::chrono::hours(365 * 24));
}

TEST_CASE("the work time of a call is sent in microseconds rounded up and capped at the largest value") {
  using namespace std::chrono_literals;
  OutputBuffer out;
  for (const std::chrono::nanoseconds run : {0ns, 1ns, 2000ns, 2001ns, -1ns, std::chrono::nanoseconds(10h)}) {
    encode_worker_result(out, 1, {as_bytes("1")}, run);
    encode_worker_error(out, 1, Error{}, run);
  }
  FrameReader reader;
  testing::feed(reader, as_text(out.data()));
  for (const std::chrono::nanoseconds told : {0us, 1us, 2us, 3us, 0us, std::chrono::microseconds(UINT32_MAX)}) {
    for (int kind = 0; kind < 2; ++kind) {
      const auto message = decode_worker_message(**reader.next());
      CHECK(std::get<AnswerView>(*message).usage.run == told);
    }
  }
}

TEST_CASE("a usage's durations are never negative, whatever is sent or received") {
  OutputBuffer out;
  encode_error(out, 1, Error{}, Usage{.queue = std::chrono::nanoseconds(-1)});
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::ServerMessage>().initAnswer().initUsage().setRunNanos(kMax64);
  const auto flat = capnp::messageToFlatArray(builder);
  FrameReader reader;
  testing::feed(reader, as_text(out.data()));
  testing::feed(reader, {flat.asChars().begin(), flat.asChars().size()});
  const auto first = decode_server_message(**reader.next());
  CHECK(std::get<AnswerView>(*first).usage == Usage{});
  const auto second = decode_server_message(**reader.next());
  CHECK(std::get<AnswerView>(*second).usage.run == std::chrono::nanoseconds::max());
}

TEST_CASE("an age beyond what a clock can hold is cut, never negative") {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<wire::ServerMessage>().initWorkers().initWorkers(1)[0].setAgeNanos(kMax64);
  const auto flat = capnp::messageToFlatArray(builder);
  FrameReader reader;
  testing::feed(reader, {flat.asChars().begin(), flat.asChars().size()});
  const auto message = decode_server_message(**reader.next());
  CHECK(std::get<WorkerList>(*message).workers.at(0).age == std::chrono::nanoseconds::max());
}

TEST_CASE("a time to retry after that is too long for the message is cut, not wrapped around") {
  const Error error = {.retry_after = std::chrono::milliseconds((std::int64_t{1} << 32) + 5)};
  OutputBuffer out;
  encode_error(out, 1, error, {});
  FrameReader reader;
  testing::feed(reader, as_text(out.data()));
  const auto message = decode_server_message(**reader.next());
  const auto& answer = std::get<AnswerView>(*message);
  CHECK(std::get<Error>(answer.outcome).retry_after == std::chrono::milliseconds(0xFFFFFFFF));
}

TEST_CASE("a message that another library split into many segments is decoded") {
  capnp::MallocMessageBuilder builder(1, capnp::AllocationStrategy::FIXED_SIZE);
  auto call = builder.initRoot<wire::ClientMessage>().initCall();
  call.setId(5);
  call.setModule("calculator");
  call.setVersion("v1.0.0");
  call.setFunction("add");
  call.setPayload(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("[1,2]"), 5));
  REQUIRE(builder.getSegmentsForOutput().size() > 3);
  const auto flat = capnp::messageToFlatArray(builder);
  FrameReader reader;
  testing::feed(reader, {flat.asChars().begin(), flat.asChars().size()});
  const auto message = decode_client_message(**reader.next());
  REQUIRE(message.has_value());
  CHECK(describe(*message) ==
        describe(CallRequest{
            .id = 5, .module = "calculator", .version = "v1.0.0", .function = "add", .payload = as_bytes("[1,2]")}));
}

// --- what the C++ side repeats of the schemas ----------------------------------------------------------------------

// "deadlineExceeded" as Holdfast writes it: "deadline_exceeded".
std::string snake_case(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (std::isupper(static_cast<unsigned char>(c)) != 0) result += '_';
    result += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

template <typename Wire>
std::vector<std::string> names_in_schema() {
  std::vector<std::string> names;
  for (const auto enumerant : capnp::Schema::from<Wire>().getEnumerants()) {
    names.push_back(snake_case(enumerant.getProto().getName().cStr()));
  }
  return names;
}

template <typename Enum>
std::vector<std::string> names(std::size_t count) {
  std::vector<std::string> result;
  for (std::size_t i = 0; i < count; ++i) result.emplace_back(to_string(static_cast<Enum>(i)));
  return result;
}

TEST_CASE("the protocol's version is the schema's") { CHECK(kProtocolVersion == wire::PROTOCOL_VERSION); }

TEST_CASE("error codes, execution states and worker states have the schema's numbers and names") {
  CHECK(names<ErrorCode>(kErrorCodeCount) == names_in_schema<wire::ErrorCode>());
  CHECK(names<Executed>(3) == names_in_schema<wire::Executed>());
  CHECK(names<WorkerState>(kWorkerStateCount) == names_in_schema<wire::WorkerState>());
}

TEST_CASE("enums without names in C++ have the schema's numbers") {
  CHECK(names_in_schema<wire::Encoding>() == std::vector<std::string>{"json", "bytes", "structured"});
  CHECK(names_in_schema<wire::ResultEncoding>() == std::vector<std::string>{"auto", "json", "bytes", "structured"});
  CHECK(names_in_schema<wire::ArgumentStyle>() == std::vector<std::string>{"single", "positional"});
  CHECK(names_in_schema<wire::LogLevel>() == std::vector<std::string>{"debug", "info", "warning", "error"});
  CHECK(names_in_schema<wire::StopReason>() == std::vector<std::string>{"soft_stop", "out_of_memory", "fatal"});
  CHECK(static_cast<int>(LogLevel::debug) == 0);
  CHECK(static_cast<int>(LogLevel::error) == 3);
  CHECK(static_cast<int>(StopReason::soft_stop) == 0);
  CHECK(static_cast<int>(StopReason::fatal) == 2);
  CHECK(static_cast<int>(ArgumentStyle::positional) == 1);
}

}  // namespace
}  // namespace holdfast::ipc
