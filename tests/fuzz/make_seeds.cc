// Writes the fuzzers' initial inputs: one file for each kind of message into a folder for message_fuzz, and streams of
// some of them into another folder for frame_fuzz.
//   make_seeds MESSAGES_FOLDER FRAMES_FOLDER
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/ipc_values.h"

namespace {

using namespace holdfast::ipc;

class Folder {
 public:
  explicit Folder(std::filesystem::path path) : path_(std::move(path)) { std::filesystem::create_directories(path_); }

  void write(std::string_view bytes) {
    std::ofstream file(path_ / ("seed-" + std::to_string(++count_)), std::ios::binary);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) {
      std::fprintf(stderr, "make_seeds: cannot write into %s\n", path_.c_str());
      std::exit(1);
    }
  }

 private:
  std::filesystem::path path_;
  int count_ = 0;
};

template <typename Protocol, typename Message>
std::string encoded(const Message& message) {
  OutputBuffer out;
  Protocol::encode(out, message);
  return std::string(as_text(out.data()));
}

std::vector<std::string> messages() {
  using namespace testing;
  const Error error = {.code = ErrorCode::overloaded,
                       .message = "the queue is full",
                       .stack = "Error\n  at f (m.js:1:2)",
                       .retryable = true,
                       .executed = Executed::maybe,
                       .detail = "queue",
                       .retry_after = std::chrono::milliseconds(20),
                       .properties = R"({"code":"E_QUOTA"})"};
  const WorkerInfo worker = {.pid = 4711,
                             .module = "calculator",
                             .version = "v1.0.0",
                             .state = WorkerState::busy,
                             .calls_in_flight = 1,
                             .calls_done = 2,
                             .memory_bytes = 3,
                             .age = std::chrono::seconds(4),
                             .cpu = std::chrono::seconds(5)};
  const ModuleStats module = {.module = "calculator",
                              .version = "v1.0.0",
                              .calls = 3,
                              .results = 2,
                              .errors = {{ErrorCode::exception, 1}},
                              .cpu = std::chrono::seconds(1),
                              .held_off = std::chrono::seconds(2),
                              .held_off_reason = "it died"};
  const Usage usage = {.queue = std::chrono::milliseconds(1),
                       .load = std::chrono::milliseconds(2),
                       .run = std::chrono::milliseconds(3),
                       .cpu = std::chrono::milliseconds(4),
                       .peak_memory_bytes = 5,
                       .bytes_in = 6,
                       .bytes_out = 7,
                       .attempts = 8,
                       .cold = true};
  const auto client = [](ClientMessage message) { return encoded<ClientProtocol>(message); };
  const auto server = [](ServerMessage message) { return encoded<ServerProtocol>(message); };
  const auto zygote = [](ZygoteReply message) { return encoded<ZygoteReplyProtocol>(message); };
  const auto request = [](WorkerRequest message) { return encoded<WorkerRequestProtocol>(message); };
  const auto reply = [](WorkerMessage message) { return encoded<WorkerProtocol>(message); };
  return {
      client(ClientHello{kProtocolVersion, "fuzz 1.0"}),
      client(CallRequest{.id = 1,
                         .module = "calculator",
                         .version = "v1.0.0",
                         .function = "add",
                         .payload = as_bytes(R"({"a":1,"b":2})"),
                         .arguments = ArgumentStyle::positional,
                         .timeout = std::chrono::seconds(1),
                         .idempotent = true}),
      client(CancelRequest{1}),
      client(ListWorkersRequest{2}),
      client(StatsRequest{3}),
      client(RegisterLoaderRequest{4, std::chrono::seconds(5)}),
      client(SourceReply{5, SourceCode{as_bytes("exports.f = 1"), "m.js"}}),
      client(SourceReply{6, SourceNotFound{}}),
      client(SourceReply{7, SourceFailed{"the disk is gone"}}),
      client(SubscribeLogsRequest{8, "calculator", "v1.0.0", 10, true}),
      client(EndLogsRequest{8}),
      client(OpenLineRequest{9, "calculator", "v1.0.0"}),
      client(LineCallOverdue{9, 1}),
      server(ServerHello{kProtocolVersion, "0.1.0", 1 << 25, 1 << 24, 100, 1 << 24}),
      server(AnswerView{1, ResultView{as_bytes("3")}, usage}),
      server(AnswerView{2, error, usage}),
      server(WorkerList{3, {worker, WorkerInfo{}}}),
      server(ProtocolViolation{"a rule was broken"}),
      server(Stats{4, {module, ModuleStats{}}, StatsTotals{.version = "0.1.0", .clients = 1}}),
      server(LoaderRegistered{5}),
      server(LoaderRegistered{6, error}),
      server(SourceWanted{7, {"calculator", "v1.0.0"}}),
      server(LogRecordMessage{LogRecordMessage::For::call, 9, {.module = "calculator", .text = "a line"}}),
      server(LogsSubscribed{8}),
      server(LogsSubscribed{8, error}),
      server(LineOpened{9, CallTimeouts{std::chrono::seconds(1), std::chrono::seconds(2)}}),
      server(LineOpened{9, error}),
      server(LineEnded{9, 2, 1, error, error}),
      server(LineClosing{3}),
      encoded<ZygoteRequestProtocol>(ForkRequest{1}),
      zygote(ZygoteReady{}),
      zygote(WorkerForked{1}),
      zygote(WorkerForkFailed{1, "out of processes"}),
      zygote(WorkerExited{1, 9}),
      zygote(ZygoteFailed{"no namespaces"}),
      request(LoadRequest{"calculator", "v1.0.0", "calculator.js", as_bytes("exports.f = 1"), 1 << 27, 1 << 24,
                          std::chrono::microseconds(100), true, 0x5eed}),
      request(WorkerCall{1, "add", as_bytes("[1,2]"), Encoding::json, ArgumentStyle::positional,
                         std::chrono::steady_clock::time_point(std::chrono::hours(1))}),
      request(WorkerCancel{1, CancelReason::deadline_exceeded}),
      request(OpenWorkerLine{2, std::chrono::seconds(1), std::chrono::seconds(2), 128, std::chrono::microseconds(50)}),
      request(CloseWorkerLine{}),
      reply(WorkerReady{}),
      reply(Loaded{}),
      reply(LoadFailed{error}),
      reply(AnswerView{1, ResultView{as_bytes("3")}}),
      reply(AnswerView{2, error}),
      reply(LogLine{LogLevel::warning, "a line of text", 1}),
      reply(Stopped{StopReason::soft_stop, 1, "at loop (m.js:1:2)", "stuck"}),
  };
}

// The message with its root in a second segment, to which a far pointer in the first one leads.
std::string in_two_segments(const std::string& message) {
  std::vector<Word> words(message.size() / sizeof(Word) - 1);
  std::memcpy(words.data(), message.data() + sizeof(Word), words.size() * sizeof(Word));
  constexpr Word kFarPointerToSegmentOne = 2 | Word{1} << 32;
  return testing::framed({{kFarPointerToSegmentOne}, words});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: make_seeds MESSAGES_FOLDER FRAMES_FOLDER\n");
    return 2;
  }
  Folder message_seeds(argv[1]);
  for (const auto& message : messages()) {
    message_seeds.write(message);
    message_seeds.write(in_two_segments(message));
  }

  Folder frame_seeds(argv[2]);
  const std::vector<std::string> streams = {
      testing::framed({{}}) + testing::framed({{1, 2}, {}, {3}}),
      testing::framed(testing::Segments(8, {1})),
      testing::framed(testing::Segments(9, {1})),
      testing::framed({std::vector<Word>(255)}),
      testing::framed({std::vector<Word>(256)}),
      messages().front() + messages().back(),
  };
  for (const auto& stream : streams) {
    // The sizes of the pieces come first: as many bytes as the stream has.
    frame_seeds.write(std::string(stream.size(), '\6') + stream);
  }
}
