// Helpers of the tests and fuzz targets of ipc: frames that are made by hand, and messages as text, which can be
// compared and which reads every byte that a decoded message points to.
#pragma once

#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/frame.h"
#include "ipc/worker_messages.h"

namespace holdfast::ipc::testing {

using Segments = std::vector<std::vector<Word>>;

// The stream framing of Cap'n Proto's specification, written without the code under test.
inline std::string framed(const Segments& segments) {
  std::string bytes;
  const auto append_u32 = [&](std::size_t value) {
    for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(value >> shift & 0xFF));
  };
  append_u32(segments.size() - 1);
  for (const auto& segment : segments) append_u32(segment.size());
  if (segments.size() % 2 == 0) append_u32(0);
  for (const auto& segment : segments) {
    bytes.append(reinterpret_cast<const char*>(segment.data()), segment.size() * sizeof(Word));
  }
  return bytes;
}

inline Segments copy_of(const Frame& frame) {
  Segments segments;
  for (const auto segment : frame.segments) segments.emplace_back(segment.begin(), segment.end());
  return segments;
}

inline void feed(FrameReader& reader, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto space = reader.prepare();
    const std::size_t count = std::min(space.size(), bytes.size());
    std::memcpy(space.data(), bytes.data(), count);
    reader.commit(count);
    bytes.remove_prefix(count);
  }
}

// --- each protocol: how its messages are decoded, and encoded again ------------------------------------------------

struct ClientProtocol {
  static auto decode(const Frame& frame) { return decode_client_message(frame); }
  static void encode(OutputBuffer& out, const ClientMessage& message) {
    std::visit([&](const auto& value) { ipc::encode(out, value); }, message);
  }
};

struct ServerProtocol {
  static auto decode(const Frame& frame) { return decode_server_message(frame); }
  static void encode(OutputBuffer& out, const ServerMessage& message) {
    std::visit(
        [&]<typename Value>(const Value& value) {
          if constexpr (!std::is_same_v<Value, AnswerView>) {
            ipc::encode(out, value);
          } else if (auto* result = std::get_if<ResultView>(&value.outcome)) {
            encode_result(out, value.id, *result, value.usage);
          } else {
            encode_error(out, value.id, std::get<Error>(value.outcome), value.usage);
          }
        },
        message);
  }
};

struct ZygoteRequestProtocol {
  static auto decode(const Frame& frame) { return decode_zygote_request(frame); }
  static void encode(OutputBuffer& out, const ForkRequest& message) { ipc::encode(out, message); }
};

struct ZygoteReplyProtocol {
  static auto decode(const Frame& frame) { return decode_zygote_reply(frame); }
  static void encode(OutputBuffer& out, const ZygoteReply& message) { ipc::encode(out, message); }
};

struct WorkerRequestProtocol {
  static auto decode(const Frame& frame) { return decode_worker_request(frame); }
  static void encode(OutputBuffer& out, const WorkerRequest& message) {
    std::visit(
        [&]<typename Value>(const Value& value) {
          if constexpr (std::is_same_v<Value, StreamGrant>) {
            encode_worker_grant(out, value);
          } else {
            ipc::encode(out, value);
          }
        },
        message);
  }
};

struct WorkerProtocol {
  static auto decode(const Frame& frame) { return decode_worker_message(frame); }
  static void encode(OutputBuffer& out, const WorkerMessage& message) {
    std::visit(
        [&]<typename Value>(const Value& value) {
          if constexpr (std::is_same_v<Value, ChunkView>) {
            encode_worker_chunk(out, value);
          } else if constexpr (!std::is_same_v<Value, AnswerView>) {
            ipc::encode(out, value);
          } else if (auto* result = std::get_if<ResultView>(&value.outcome)) {
            encode_worker_result(out, value.id, *result, value.usage.run);
          } else {
            encode_worker_error(out, value.id, std::get<Error>(value.outcome), value.usage.run);
          }
        },
        message);
  }
};

// Calls `use` with a value of each of the six protocols.
template <typename Use>
void for_each_protocol(Use use) {
  use(ClientProtocol{});
  use(ServerProtocol{});
  use(ZygoteRequestProtocol{});
  use(ZygoteReplyProtocol{});
  use(WorkerRequestProtocol{});
  use(WorkerProtocol{});
}

// --- messages as text ----------------------------------------------------------------------------------------------

class Description {
 public:
  explicit Description(std::string_view kind) : text_(kind) {}

  Description& add(std::string_view name, std::string_view value) {
    text_.append(" ").append(name).append("=").append(std::to_string(value.size())).append(":").append(value);
    return *this;
  }
  Description& add(std::string_view name, Bytes value) { return add(name, as_text(value)); }
  template <typename Number>
  requires(std::is_integral_v<Number> || std::is_enum_v<Number>) Description& add(std::string_view name, Number value) {
    text_.append(" ").append(name).append("=").append(std::to_string(static_cast<std::int64_t>(value)));
    return *this;
  }

  operator std::string() const { return text_; }

 private:
  std::string text_;
};

inline std::string describe(const ClientHello& hello) {
  return Description("client hello").add("version", hello.protocol_version).add("name", hello.client_name);
}
inline std::string describe(const CallRequest& call) {
  return Description("call")
      .add("id", call.id)
      .add("module", call.module)
      .add("version", call.version)
      .add("function", call.function.empty() ? kDefaultFunction : call.function)
      .add("payload", call.payload)
      .add("encoding", call.encoding)
      .add("arguments", call.arguments)
      .add("timeout", call.timeout.count())
      .add("idempotent", call.idempotent)
      .add("result", call.result_encoding)
      .add("window", call.stream_window_bytes)
      .add("logs", call.logs);
}
inline std::string describe(const CancelRequest& cancel) { return Description("cancel").add("id", cancel.id); }
inline std::string describe(const StreamGrant& grant) {
  return Description("grant").add("call", grant.call).add("bytes", grant.bytes);
}
inline std::string describe(const ListWorkersRequest& list) { return Description("list").add("id", list.id); }
inline std::string describe(const StatsRequest& request) { return Description("stats").add("id", request.id); }
inline std::string describe(const RegisterLoaderRequest& request) {
  return Description("register loader").add("id", request.id).add("timeout", request.timeout.count());
}
inline std::string describe(const SourceReply& source) {
  Description text("source");
  text.add("id", source.id);
  if (const auto* code = std::get_if<SourceCode>(&source.outcome)) {
    text.add("text", code->text).add("file", code->file_name);
  } else if (const auto* failed = std::get_if<SourceFailed>(&source.outcome)) {
    text.add("failed", failed->reason);
  } else {
    text.add("found", false);
  }
  return text;
}
inline std::string describe(const SubscribeLogsRequest& request) {
  return Description("subscribe logs")
      .add("id", request.id)
      .add("module", request.module)
      .add("version", request.version)
      .add("backlog", request.backlog)
      .add("follow", request.follow);
}
inline std::string describe(const EndLogsRequest& request) { return Description("end logs").add("id", request.id); }
inline std::string describe(const OpenLineRequest& request) {
  return Description("open line").add("id", request.id).add("module", request.module).add("version", request.version);
}
inline std::string describe(const LineCallOverdue& overdue) {
  return Description("line call overdue")
      .add("line", overdue.line)
      .add("call", overdue.call)
      .add("late", overdue.is_late);
}
inline std::string describe(const LogRecordMessage& message) {
  const LogRecord& record = message.record;
  return Description("log record")
      .add("for", message.purpose)
      .add("id", message.id)
      .add("time", record.time.count())
      .add("level", record.level)
      .add("module", record.module)
      .add("version", record.version)
      .add("request", record.request_id)
      .add("text", record.text)
      .add("dropped", record.dropped);
}
inline std::string describe(const LogsSubscribed& subscribed) {
  Description text("logs subscribed");
  text.add("id", subscribed.id);
  if (subscribed.error) text.add("error", subscribed.error->message);
  return text;
}
inline std::string describe(const ServerHello& hello) {
  return Description("server hello")
      .add("protocol", hello.protocol_version)
      .add("version", hello.server_version)
      .add("frame", hello.max_frame_bytes)
      .add("payload", hello.max_payload_bytes)
      .add("calls", hello.max_calls_in_flight)
      .add("source", hello.max_source_bytes);
}
inline std::string describe(const ResultView& result) {
  return Description("result").add("payload", result.payload).add("encoding", result.encoding);
}
inline std::string describe(const WorkerRan& ran) {
  return Description("ran").add("call", ran.call).add("time", ran.time.count());
}
inline std::string describe(const ChunkView& chunk) {
  return Description("chunk").add("call", chunk.call).add("value", describe(chunk.value));
}
inline std::string describe(const Error& error) {
  return Description("error")
      .add("code", error.code)
      .add("message", error.message)
      .add("stack", error.stack)
      .add("retryable", error.retryable)
      .add("executed", error.executed)
      .add("detail", error.detail)
      .add("retry_after", error.retry_after.count())
      .add("properties", error.properties);
}
inline std::string describe(const Usage& usage) {
  return Description("usage")
      .add("queue", usage.queue.count())
      .add("load", usage.load.count())
      .add("run", usage.run.count())
      .add("cpu", usage.cpu.count())
      .add("memory", usage.peak_memory_bytes)
      .add("in", usage.bytes_in)
      .add("out", usage.bytes_out)
      .add("attempts", usage.attempts)
      .add("cold", usage.cold);
}
inline std::string describe(const AnswerView& answer) {
  return Description("answer")
      .add("id", answer.id)
      .add("usage", describe(answer.usage))
      .add("outcome", std::visit([](const auto& value) { return describe(value); }, answer.outcome));
}
inline std::string describe(const WorkerInfo& info) {
  return Description("worker")
      .add("pid", info.pid)
      .add("module", info.module)
      .add("version", info.version)
      .add("state", info.state)
      .add("in_flight", info.calls_in_flight)
      .add("done", info.calls_done)
      .add("memory", info.memory_bytes)
      .add("age", info.age.count())
      .add("cpu", info.cpu.count())
      .add("line", info.line);
}
inline std::string describe(const WorkerList& list) {
  Description text("workers");
  text.add("id", list.id);
  for (const auto& info : list.workers) text.add("worker", describe(info));
  return text;
}
inline std::string describe(const ModuleStats& module) {
  Description text("module");
  text.add("module", module.module)
      .add("version", module.version)
      .add("calls", module.calls)
      .add("results", module.results)
      .add("refused", module.refused)
      .add("retries", module.retries)
      .add("cold", module.cold_starts)
      .add("evictions", module.evictions)
      .add("drains", module.drains)
      .add("queued", module.queued)
      .add("in_flight", module.calls_in_flight)
      .add("instances", module.instances)
      .add("queue", module.queue.count())
      .add("load", module.load.count())
      .add("run", module.run.count())
      .add("cpu", module.cpu.count())
      .add("in", module.bytes_in)
      .add("out", module.bytes_out)
      .add("memory", module.peak_memory_bytes)
      .add("held_off", module.held_off.count())
      .add("reason", module.held_off_reason);
  for (const ErrorCount& error : module.errors) text.add("error", error.code).add("count", error.count);
  return text;
}
inline std::string describe(const StatsTotals& totals) {
  return Description("totals")
      .add("version", totals.version)
      .add("uptime", totals.uptime.count())
      .add("clients", totals.clients)
      .add("workers", totals.workers)
      .add("max_workers", totals.max_workers)
      .add("standbys", totals.standbys)
      .add("standby_target", totals.standby_target)
      .add("queued", totals.queued)
      .add("in_flight", totals.calls_in_flight)
      .add("waiting", totals.waiting_modules)
      .add("modules", totals.modules)
      .add("forks", totals.forks)
      .add("memory", totals.memory_bytes);
}
inline std::string describe(const Stats& stats) {
  Description text("statistics");
  text.add("id", stats.id).add("totals", describe(stats.totals));
  for (const auto& module : stats.modules) text.add("module", describe(module));
  return text;
}
inline std::string describe(const LoaderRegistered& registered) {
  Description text("loader registered");
  text.add("id", registered.id);
  if (registered.error) text.add("error", describe(*registered.error));
  return text;
}
inline std::string describe(const SourceWanted& wanted) {
  return Description("source wanted")
      .add("id", wanted.id)
      .add("module", wanted.name.module)
      .add("version", wanted.name.version);
}
inline std::string describe(const CallTimeouts& timeouts) {
  return Description("timeouts").add("usual", timeouts.usual.count()).add("longest", timeouts.longest.count());
}
inline std::string describe(const LineOpened& opened) {
  return Description("line opened")
      .add("id", opened.id)
      .add("outcome", std::visit([](const auto& value) { return describe(value); }, opened.outcome));
}
inline std::string describe(const LineEnded& ended) {
  return Description("line ended")
      .add("line", ended.line)
      .add("started", ended.started)
      .add("guilty", ended.guilty)
      .add("guilty's", describe(ended.guilty_error))
      .add("others'", describe(ended.others_error));
}
inline std::string describe(const LineClosing& closing) {
  return Description("line closing").add("accepted", closing.accepted);
}
inline std::string describe(const ProtocolViolation& violation) {
  return Description("protocol error").add("message", violation.message);
}
inline std::string describe(const ForkRequest& request) { return Description("fork").add("worker", request.worker); }
inline std::string describe(const ZygoteReady&) { return Description("ready"); }
inline std::string describe(const WorkerForked& forked) { return Description("forked").add("worker", forked.worker); }
inline std::string describe(const WorkerForkFailed& failed) {
  return Description("fork failed").add("worker", failed.worker).add("reason", failed.reason);
}
inline std::string describe(const WorkerExited& exited) {
  return Description("exited").add("worker", exited.worker).add("status", exited.wait_status);
}
inline std::string describe(const ZygoteFailed& failed) { return Description("failed").add("reason", failed.reason); }
inline std::string describe(const LoadRequest& load) {
  Description text("load");
  text.add("module", load.module)
      .add("version", load.version)
      .add("file", load.file_name)
      .add("source", load.source)
      .add("memory", load.memory_bytes)
      .add("payload", load.max_payload_bytes)
      .add("clock", load.clock_resolution.count())
      .add("code from strings", load.allow_code_from_strings)
      .add("tag", load.tag)
      .add("lenient", load.lenient_results);
  for (const auto& [name, value] : load.environment) text.add("variable", name).add("value", value);
  return text;
}
inline std::string describe(const WorkerCall& call) {
  return Description("worker call")
      .add("id", call.id)
      .add("function", call.function)
      .add("payload", call.payload)
      .add("encoding", call.encoding)
      .add("arguments", call.arguments)
      .add("deadline", call.deadline.time_since_epoch().count())
      .add("result", call.result_encoding)
      .add("window", call.stream_window_bytes);
}
inline std::string describe(const WorkerCancel& cancel) {
  return Description("worker cancel").add("call", cancel.call).add("reason", cancel.reason);
}
inline std::string describe(const OpenWorkerLine& open) {
  return Description("open worker line")
      .add("call", open.call)
      .add("default", open.default_timeout.count())
      .add("longest", open.longest_timeout.count())
      .add("calls", open.max_calls)
      .add("poll", open.busy_poll.count());
}
inline std::string describe(const CloseWorkerLine&) { return Description("close worker line"); }
inline std::string describe(const WorkerReady&) { return Description("ready"); }
inline std::string describe(const Loaded&) { return Description("loaded"); }
inline std::string describe(const LoadFailed& failed) {
  return Description("load failed").add("error", describe(failed.error));
}
inline std::string describe(const LogLine& line) {
  return Description("log")
      .add("level", line.level)
      .add("text", line.text)
      .add("call", line.call)
      .add("dropped", line.dropped);
}
inline std::string describe(const Stopped& stopped) {
  return Description("stopped")
      .add("reason", stopped.reason)
      .add("call", stopped.call)
      .add("stack", stopped.stack)
      .add("detail", stopped.detail);
}
template <typename... Kinds>
std::string describe(const std::variant<Kinds...>& message) {
  return std::visit([](const auto& value) { return describe(value); }, message);
}

// The text of `message` after it was sent and received; nullopt if that failed.
template <typename Protocol, typename Message>
std::optional<std::string> after_a_round_trip(const Message& message) {
  OutputBuffer out;
  Protocol::encode(out, message);
  FrameReader reader({.max_bytes = std::size_t{1} << 30, .max_segments = 1});
  feed(reader, as_text(out.data()));
  auto frame = reader.next();
  if (!frame || !frame->has_value() || reader.buffered_bytes() != 0) return std::nullopt;
  auto decoded = Protocol::decode(**frame);
  if (!decoded) return std::nullopt;
  return describe(*decoded);
}

}  // namespace holdfast::ipc::testing
