#include "ipc/client_messages.h"

#include <algorithm>
#include <array>
#include <limits>

#include "ipc/wire.h"

namespace holdfast::ipc {
namespace {

constexpr std::uint16_t kExecutedCount = 3;

// A hostile list may take one byte for an element, and each would take about a hundred here.
constexpr unsigned kMaxWorkersListed = 65536;

Usage read_usage(wire::Usage::Reader from) {
  Usage usage;
  read_amounts(from, usage);
  usage.attempts = from.getAttempts();
  usage.cold = from.getCold();
  return usage;
}

void write_usage(wire::Usage::Builder to, const Usage& usage) {
  write_amounts(to, usage);
  to.setAttempts(usage.attempts);
  to.setCold(usage.cold);
}

tl::expected<ClientMessage, ProtocolViolation> decode_call(wire::Call::Reader from) {
  CallRequest call;
  call.id = from.getId();
  call.module = view(from.getModule());
  call.version = view(from.getVersion());
  call.function = view(from.getFunction());
  if (call.function.empty()) call.function = kDefaultFunction;
  call.payload = view(from.getPayload());
  auto encoding = checked_enum<Encoding>(from.getEncoding(), kEncodingCount, "payload encoding");
  if (!encoding) return tl::unexpected(encoding.error());
  call.encoding = *encoding;
  auto arguments = checked_enum<ArgumentStyle>(from.getArguments(), kArgumentStyleCount, "argument style");
  if (!arguments) return tl::unexpected(arguments.error());
  call.arguments = *arguments;
  call.timeout = read_timeout(from.getTimeoutNanos());
  call.idempotent = from.getIdempotent();
  auto result = checked_enum<ResultEncoding>(from.getResultEncoding(), kResultEncodingCount, "result encoding");
  if (!result) return tl::unexpected(result.error());
  call.result_encoding = *result;
  call.stream_window_bytes = std::min(from.getStreamWindowBytes(), kMaxStreamWindowBytes);
  call.logs = from.getLogs();
  return call;
}

tl::expected<ServerMessage, ProtocolViolation> decode_workers(wire::WorkerList::Reader from) {
  WorkerList list;
  list.id = from.getId();
  if (const unsigned count = from.getWorkers().size(); count > kMaxWorkersListed) {
    return tl::unexpected(ProtocolViolation{"a list of " + std::to_string(count) + " workers; at most " +
                                            std::to_string(kMaxWorkersListed) + " are accepted"});
  }
  for (auto item : from.getWorkers()) {
    WorkerInfo& info = list.workers.emplace_back();
    auto state = checked_enum<WorkerState>(item.getState(), kWorkerStateCount, "worker state");
    if (!state) return tl::unexpected(state.error());
    info.pid = item.getPid();
    info.module = view(item.getModule());
    info.version = view(item.getVersion());
    info.state = *state;
    info.calls_in_flight = item.getCallsInFlight();
    info.calls_done = item.getCallsDone();
    info.memory_bytes = item.getMemoryBytes();
    info.age = read_duration(item.getAgeNanos());
    info.cpu = read_duration(item.getCpuNanos());
    info.line = item.getLine();
  }
  return list;
}

}  // namespace

std::string_view to_string(WorkerState state) {
  static constexpr std::array<std::string_view, kWorkerStateCount> kNames = {"starting", "standby", "loading",
                                                                             "idle",     "busy",    "draining"};
  return kNames[static_cast<std::size_t>(state)];
}

std::string_view to_string(Encoding encoding) {
  static constexpr std::array<std::string_view, kEncodingCount> kNames = {"json", "bytes", "structured"};
  return kNames[static_cast<std::size_t>(encoding)];
}

void write_error(wire::Error::Builder to, const Error& error) {
  to.setCode(static_cast<wire::ErrorCode>(error.code));
  set_text(error.message, [&](unsigned size) { return to.initMessage(size); });
  set_text(error.stack, [&](unsigned size) { return to.initStack(size); });
  to.setRetryable(error.retryable);
  to.setExecuted(static_cast<wire::Executed>(error.executed));
  set_text(error.detail, [&](unsigned size) { return to.initDetail(size); });
  constexpr std::int64_t kLongest = std::numeric_limits<std::uint32_t>::max();
  to.setRetryAfterMillis(static_cast<std::uint32_t>(std::clamp<std::int64_t>(error.retry_after.count(), 0, kLongest)));
  if (!error.properties.empty()) set_text(error.properties, [&](unsigned size) { return to.initProperties(size); });
}

tl::expected<Error, ProtocolViolation> read_error(wire::Error::Reader from) {
  auto code = checked_enum<ErrorCode>(from.getCode(), kErrorCodeCount, "error code");
  if (!code) return tl::unexpected(code.error());
  auto executed = checked_enum<Executed>(from.getExecuted(), kExecutedCount, "value of Error.executed");
  if (!executed) return tl::unexpected(executed.error());
  return Error{.code = *code,
               .message = std::string(view(from.getMessage())),
               .stack = std::string(view(from.getStack())),
               .retryable = from.getRetryable(),
               .executed = *executed,
               .detail = std::string(view(from.getDetail())),
               .retry_after = std::chrono::milliseconds(from.getRetryAfterMillis()),
               .properties = std::string(view(from.getProperties()))};
}

tl::expected<AnswerView, ProtocolViolation> read_answer(wire::Answer::Reader from) {
  AnswerView answer;
  answer.id = from.getId();
  switch (from.which()) {
    case wire::Answer::RESULT: {
      auto encoding = checked_enum<Encoding>(from.getResult().getEncoding(), kEncodingCount, "result encoding");
      if (!encoding) return tl::unexpected(encoding.error());
      answer.outcome = ResultView{view(from.getResult().getPayload()), *encoding};
      return answer;
    }
    case wire::Answer::ERROR: {
      auto error = read_error(from.getError());
      if (!error) return tl::unexpected(error.error());
      answer.outcome = std::move(*error);
      return answer;
    }
  }
  return tl::unexpected(ProtocolViolation{"an answer of an unknown kind"});
}

void write_chunk(wire::Chunk::Builder to, const ChunkView& chunk) {
  to.setCall(chunk.call);
  to.setPayload(to_data(chunk.value.payload));
  to.setEncoding(static_cast<wire::Encoding>(chunk.value.encoding));
}

tl::expected<ChunkView, ProtocolViolation> read_chunk(wire::Chunk::Reader from) {
  auto encoding = checked_enum<Encoding>(from.getEncoding(), kEncodingCount, "encoding of a chunk");
  if (!encoding) return tl::unexpected(encoding.error());
  return ChunkView{from.getCall(), {view(from.getPayload()), *encoding}};
}

void write_result(wire::Answer::Builder to, std::uint64_t id, const ResultView& result) {
  to.setId(id);
  to.initResult().setPayload(to_data(result.payload));
  to.getResult().setEncoding(static_cast<wire::Encoding>(result.encoding));
}

tl::expected<ClientMessage, ProtocolViolation> decode_client_message(const Frame& frame) {
  using Result = tl::expected<ClientMessage, ProtocolViolation>;
  return read_message<wire::ClientMessage>(frame, [](wire::ClientMessage::Reader message) -> Result {
    switch (message.which()) {
      case wire::ClientMessage::HELLO:
        return ClientHello{message.getHello().getProtocolVersion(), view(message.getHello().getClientName())};
      case wire::ClientMessage::CALL:
        return decode_call(message.getCall());
      case wire::ClientMessage::CANCEL:
        return CancelRequest{message.getCancel()};
      case wire::ClientMessage::LIST_WORKERS:
        return ListWorkersRequest{message.getListWorkers()};
      case wire::ClientMessage::STATS:
        return StatsRequest{message.getStats()};
      case wire::ClientMessage::REGISTER_LOADER:
        return RegisterLoaderRequest{message.getRegisterLoader().getId(),
                                     read_timeout(message.getRegisterLoader().getTimeoutNanos())};
      case wire::ClientMessage::SOURCE: {
        auto source = read_source(message.getSource());
        if (!source) return tl::unexpected(source.error());
        return *source;
      }
      case wire::ClientMessage::GRANT:
        return StreamGrant{message.getGrant().getCall(), message.getGrant().getBytes()};
      case wire::ClientMessage::SUBSCRIBE_LOGS: {
        auto request = read_subscribe_logs(message.getSubscribeLogs());
        if (!request) return tl::unexpected(request.error());
        return *request;
      }
      case wire::ClientMessage::END_LOGS:
        return EndLogsRequest{message.getEndLogs()};
      case wire::ClientMessage::OPEN_LINE:
        return OpenLineRequest{message.getOpenLine().getId(), view(message.getOpenLine().getModule()),
                               view(message.getOpenLine().getVersion())};
      case wire::ClientMessage::LINE_CALL_OVERDUE:
        return LineCallOverdue{message.getLineCallOverdue().getLine(), message.getLineCallOverdue().getCall(),
                               message.getLineCallOverdue().getIsLate()};
    }
    return tl::unexpected(ProtocolViolation{"a message of an unknown kind"});
  });
}

tl::expected<ServerMessage, ProtocolViolation> decode_server_message(const Frame& frame) {
  using Result = tl::expected<ServerMessage, ProtocolViolation>;
  return read_message<wire::ServerMessage>(frame, [](wire::ServerMessage::Reader message) -> Result {
    switch (message.which()) {
      case wire::ServerMessage::HELLO: {
        auto hello = message.getHello();
        return ServerHello{hello.getProtocolVersion(),  std::string(view(hello.getServerVersion())),
                           hello.getMaxFrameBytes(),    hello.getMaxPayloadBytes(),
                           hello.getMaxCallsInFlight(), hello.getMaxSourceBytes()};
      }
      case wire::ServerMessage::ANSWER: {
        auto answer = read_answer(message.getAnswer());
        if (!answer) return tl::unexpected(answer.error());
        answer->usage = read_usage(message.getAnswer().getUsage());
        return std::move(*answer);
      }
      case wire::ServerMessage::WORKERS:
        return decode_workers(message.getWorkers());
      case wire::ServerMessage::PROTOCOL_ERROR:
        return ProtocolViolation{std::string(view(message.getProtocolError()))};
      case wire::ServerMessage::STATS: {
        auto stats = read_stats(message.getStats());
        if (!stats) return tl::unexpected(stats.error());
        return std::move(*stats);
      }
      case wire::ServerMessage::LOADER_REGISTERED: {
        auto registered = read_loader_registered(message.getLoaderRegistered());
        if (!registered) return tl::unexpected(registered.error());
        return std::move(*registered);
      }
      case wire::ServerMessage::SOURCE_WANTED: {
        auto wanted = read_source_wanted(message.getSourceWanted());
        if (!wanted) return tl::unexpected(wanted.error());
        return std::move(*wanted);
      }
      case wire::ServerMessage::CHUNK: {
        auto chunk = read_chunk(message.getChunk());
        if (!chunk) return tl::unexpected(chunk.error());
        return *chunk;
      }
      case wire::ServerMessage::LOG_RECORD: {
        auto record = read_log_record(message.getLogRecord());
        if (!record) return tl::unexpected(record.error());
        return std::move(*record);
      }
      case wire::ServerMessage::LOGS_SUBSCRIBED: {
        auto subscribed = read_logs_subscribed(message.getLogsSubscribed());
        if (!subscribed) return tl::unexpected(subscribed.error());
        return std::move(*subscribed);
      }
      case wire::ServerMessage::LINE_OPENED: {
        auto opened = read_line_opened(message.getLineOpened());
        if (!opened) return tl::unexpected(opened.error());
        return std::move(*opened);
      }
      case wire::ServerMessage::LINE_ENDED: {
        auto ended = read_line_ended(message.getLineEnded());
        if (!ended) return tl::unexpected(ended.error());
        return std::move(*ended);
      }
      case wire::ServerMessage::LINE_CLOSING:
        return LineClosing{message.getLineClosing().getAccepted()};
    }
    return tl::unexpected(ProtocolViolation{"a message of an unknown kind"});
  });
}

void encode(OutputBuffer& out, const ClientHello& hello) {
  write_message<wire::ClientMessage>(out, words_for(hello.client_name.size()), [&](auto root) {
    auto to = root.initHello();
    to.setProtocolVersion(hello.protocol_version);
    set_text(hello.client_name, [&](unsigned size) { return to.initClientName(size); });
  });
}

void encode(OutputBuffer& out, const CallRequest& call) {
  const std::size_t words =
      words_for(call.module.size()) + words_for(call.version.size()) + words_for(call.function.size());
  write_message<wire::ClientMessage>(out, words, words_for(call.payload.size()), [&](auto root) {
    auto to = root.initCall();
    to.setId(call.id);
    set_text(call.module, [&](unsigned size) { return to.initModule(size); });
    set_text(call.version, [&](unsigned size) { return to.initVersion(size); });
    set_text(call.function, [&](unsigned size) { return to.initFunction(size); });
    to.setPayload(to_data(call.payload));
    to.setEncoding(static_cast<wire::Encoding>(call.encoding));
    to.setArguments(static_cast<wire::ArgumentStyle>(call.arguments));
    to.setTimeoutNanos(static_cast<std::uint64_t>(call.timeout.count()));
    to.setIdempotent(call.idempotent);
    to.setResultEncoding(static_cast<wire::ResultEncoding>(call.result_encoding));
    to.setStreamWindowBytes(call.stream_window_bytes);
    to.setLogs(call.logs);
  });
}

void encode(OutputBuffer& out, const CancelRequest& cancel) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) { root.setCancel(cancel.id); });
}

void encode(OutputBuffer& out, const StreamGrant& grant) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) {
    auto to = root.initGrant();
    to.setCall(grant.call);
    to.setBytes(grant.bytes);
  });
}

void encode(OutputBuffer& out, const ListWorkersRequest& list) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) { root.setListWorkers(list.id); });
}

void encode(OutputBuffer& out, const StatsRequest& request) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) { root.setStats(request.id); });
}

void encode(OutputBuffer& out, const ServerHello& hello) {
  write_message<wire::ServerMessage>(out, words_for(hello.server_version.size()), [&](auto root) {
    auto to = root.initHello();
    to.setProtocolVersion(hello.protocol_version);
    set_text(hello.server_version, [&](unsigned size) { return to.initServerVersion(size); });
    to.setMaxFrameBytes(hello.max_frame_bytes);
    to.setMaxPayloadBytes(hello.max_payload_bytes);
    to.setMaxCallsInFlight(hello.max_calls_in_flight);
    to.setMaxSourceBytes(hello.max_source_bytes);
  });
}

void encode_result(OutputBuffer& out, std::uint64_t id, const ResultView& result, const Usage& usage) {
  if (can_stay_in_place(result.payload, result.owner)) {
    const auto fill = [&](wire::ServerMessage::Builder root, capnp::Orphan<capnp::Data>&& payload) {
      auto to = root.initAnswer();
      to.setId(id);
      auto into = to.initResult();
      into.adoptPayload(std::move(payload));
      into.setEncoding(static_cast<wire::Encoding>(result.encoding));
      write_usage(to.initUsage(), usage);
    };
    return write_message_in_place<wire::ServerMessage>(out, 0, result.payload, result.owner, fill);
  }
  write_message<wire::ServerMessage>(out, 0, words_for(result.payload.size()), [&](auto root) {
    auto to = root.initAnswer();
    write_result(to, id, result);
    write_usage(to.initUsage(), usage);
  });
}

void encode_error(OutputBuffer& out, std::uint64_t id, const Error& error, const Usage& usage) {
  write_message<wire::ServerMessage>(out, words_for(error), [&](auto root) {
    auto to = root.initAnswer();
    to.setId(id);
    write_error(to.initError(), error);
    write_usage(to.initUsage(), usage);
  });
}

void encode(OutputBuffer& out, const WorkerList& list) {
  constexpr std::size_t kFixedWordsEach = 16;
  std::size_t words = 0;
  for (const auto& info : list.workers) {
    words += kFixedWordsEach + words_for(info.module.size()) + words_for(info.version.size());
  }
  write_message<wire::ServerMessage>(out, words, [&](auto root) {
    auto to = root.initWorkers();
    to.setId(list.id);
    auto items = to.initWorkers(static_cast<unsigned>(list.workers.size()));
    for (unsigned i = 0; i < items.size(); ++i) {
      const WorkerInfo& info = list.workers[i];
      items[i].setPid(info.pid);
      set_text(info.module, [&](unsigned size) { return items[i].initModule(size); });
      set_text(info.version, [&](unsigned size) { return items[i].initVersion(size); });
      items[i].setState(static_cast<wire::WorkerState>(info.state));
      items[i].setCallsInFlight(info.calls_in_flight);
      items[i].setCallsDone(info.calls_done);
      items[i].setMemoryBytes(info.memory_bytes);
      items[i].setAgeNanos(as_nanos(info.age));
      items[i].setCpuNanos(as_nanos(info.cpu));
      items[i].setLine(info.line);
    }
  });
}

void encode(OutputBuffer& out, const ChunkView& chunk) {
  write_message<wire::ServerMessage>(out, 0, words_for(chunk.value.payload.size()),
                                     [&](auto root) { write_chunk(root.initChunk(), chunk); });
}

void encode(OutputBuffer& out, const ProtocolViolation& violation) {
  write_message<wire::ServerMessage>(out, words_for(violation.message.size()), [&](auto root) {
    set_text(violation.message, [&](unsigned size) { return root.initProtocolError(size); });
  });
}

}  // namespace holdfast::ipc
