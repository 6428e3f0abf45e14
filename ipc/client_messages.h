// The messages of protocol.capnp as plain C++ values. Decoding checks everything that the schema cannot express, so
// decoded values are safe to use. Views point into the frame that they were decoded from and die with it.
//
// Only the sources of this folder include the schema's generated code, through wire.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "ipc/base/module_name.h"
#include "ipc/error.h"
#include "ipc/frame.h"
#include "ipc/stats.h"

namespace holdfast::ipc {

// Same number as protocolVersion in protocol.capnp, which a test compares.
constexpr std::uint16_t kProtocolVersion = 2;

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

enum class Encoding : std::uint16_t { json, bytes, structured };
std::string_view to_string(Encoding encoding);
enum class ResultEncoding : std::uint16_t { automatic, json, bytes, structured };
enum class ArgumentStyle : std::uint16_t { single, positional };
enum class LogLevel : std::uint16_t { debug, info, warning, error };
std::string_view to_string(LogLevel level);

// The most of a stream (in chunk_cost()) that may be on its way to a client that has granted nothing.
constexpr std::uint32_t kMaxStreamWindowBytes = std::uint32_t{1} << 20;

// How much of a stream's window a chunk uses, in bytes.
constexpr std::uint64_t chunk_cost(std::size_t payload_bytes) { return payload_bytes + 128; }

// --- client to supervisor ------------------------------------------------------------------------------------------

struct ClientHello {
  std::uint16_t protocol_version = kProtocolVersion;
  std::string_view client_name;
};

// The function of a call that names none.
constexpr std::string_view kDefaultFunction = "default";

struct CallRequest {
  std::uint64_t id = 0;
  std::string_view module;
  std::string_view version;
  std::string_view function;  // empty: kDefaultFunction; decoding fills it in
  Bytes payload;
  Encoding encoding = Encoding::json;
  ArgumentStyle arguments = ArgumentStyle::single;
  std::chrono::nanoseconds timeout{0};  // 0: the supervisor's default; never negative
  bool idempotent = false;
  ResultEncoding result_encoding = ResultEncoding::automatic;
  std::uint32_t stream_window_bytes = 0;  // 0: the client takes no stream
  bool logs = false;                      // the client wants the lines that the call logs
};

struct CancelRequest {
  std::uint64_t id = 0;
};

struct StreamGrant {
  std::uint64_t call = 0;
  std::uint64_t bytes = 0;
};

struct ListWorkersRequest {
  std::uint64_t id = 0;
};

struct StatsRequest {
  std::uint64_t id = 0;
};

struct RegisterLoaderRequest {
  std::uint64_t id = 0;
  std::chrono::nanoseconds timeout{0};  // 0: the supervisor's default; never negative
};

// A module's code as a loader gave it.
struct SourceCode {
  Bytes text;
  std::string_view file_name;  // empty: MODULE-VERSION.js
};
struct SourceNotFound {};
struct SourceFailed {
  std::string_view reason;
};
using SourceOutcome = std::variant<SourceCode, SourceNotFound, SourceFailed>;

struct SourceReply {
  std::uint64_t id = 0;
  SourceOutcome outcome = {};
};

struct SubscribeLogsRequest {
  std::uint64_t id = 0;
  std::string_view module = {};   // empty: of any module; else checked with name_problem()
  std::string_view version = {};  // empty: of any version, and if `module` is; else checked with name_problem()
  std::uint32_t backlog = 0;
  bool follow = false;
};

struct EndLogsRequest {
  std::uint64_t id = 0;
};

struct OpenLineRequest {
  std::uint64_t id = 0;
  std::string_view module = {};
  std::string_view version = {};
};

struct LineCallOverdue {
  std::uint64_t line = 0;
  std::uint64_t call = 0;  // its place on the line
  bool is_late = false;    // the worker is late to give the call up
};

using ClientMessage =
    std::variant<ClientHello, CallRequest, CancelRequest, ListWorkersRequest, StatsRequest, RegisterLoaderRequest,
                 SourceReply, StreamGrant, SubscribeLogsRequest, EndLogsRequest, OpenLineRequest, LineCallOverdue>;

tl::expected<ClientMessage, ProtocolViolation> decode_client_message(const Frame& frame);

void encode(OutputBuffer& out, const ClientHello& hello);
void encode(OutputBuffer& out, const CallRequest& call);
void encode(OutputBuffer& out, const CancelRequest& cancel);
void encode(OutputBuffer& out, const ListWorkersRequest& list);
void encode(OutputBuffer& out, const StatsRequest& request);
void encode(OutputBuffer& out, const RegisterLoaderRequest& request);
void encode(OutputBuffer& out, const SourceReply& source);
void encode(OutputBuffer& out, const StreamGrant& grant);
void encode(OutputBuffer& out, const SubscribeLogsRequest& request);
void encode(OutputBuffer& out, const EndLogsRequest& request);
void encode(OutputBuffer& out, const OpenLineRequest& request);
void encode(OutputBuffer& out, const LineCallOverdue& overdue);

// The call that the frame cancels if the frame is a CancelRequest as encode() makes it; else nullopt. Decodes only
// frames of that size, so that it is cheap to look through many.
std::optional<std::uint64_t> cancelled_call(const Frame& frame);

// --- supervisor to client ------------------------------------------------------------------------------------------

struct ServerHello {
  std::uint16_t protocol_version = kProtocolVersion;
  std::string server_version;
  std::uint64_t max_frame_bytes = 0;
  std::uint64_t max_payload_bytes = 0;
  std::uint32_t max_calls_in_flight = 0;
  std::uint64_t max_source_bytes = 0;
};

struct ResultView {
  Bytes payload;
  Encoding encoding = Encoding::json;
  BytesOwner owner = {};  // keeps the payload where it is; null: it is copied
};

struct ChunkView {
  std::uint64_t call = 0;
  ResultView value;
};

// What a call used; protocol.capnp (Usage) defines each field. All 0 if the call never reached a worker.
struct Usage {
  std::chrono::nanoseconds queue{0};
  std::chrono::nanoseconds load{0};
  std::chrono::nanoseconds run{0};
  std::chrono::nanoseconds cpu{0};
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint32_t attempts = 0;
  bool cold = false;

  bool operator==(const Usage&) const = default;
};

struct AnswerView {
  std::uint64_t id = 0;
  std::variant<ResultView, Error> outcome;
  Usage usage = {};  // in a worker's answer all 0 except `run`, which is the worker's claim
};

enum class WorkerState : std::uint16_t { starting, standby, loading, idle, busy, draining };
constexpr std::uint16_t kWorkerStateCount = 6;
std::string_view to_string(WorkerState state);

struct WorkerInfo {
  std::int32_t pid = 0;
  std::string module;
  std::string version;
  WorkerState state = WorkerState::starting;
  std::uint32_t calls_in_flight = 0;
  std::uint64_t calls_done = 0;
  std::uint64_t memory_bytes = 0;
  std::chrono::nanoseconds age{0};
  std::chrono::nanoseconds cpu{0};
  bool line = false;  // a client has a direct line to it
};

struct WorkerList {
  std::uint64_t id = 0;
  std::vector<WorkerInfo> workers;
};

struct LoaderRegistered {
  std::uint64_t id = 0;
  std::optional<Error> error = {};  // nullopt: the loader is registered
};

struct SourceWanted {
  std::uint64_t id = 0;
  ModuleName name = {};  // checked with name_problem()
};

// A line that a module logged, or a note that some are missing.
struct LogRecord {
  std::chrono::nanoseconds time{0};  // since 1970, UTC
  LogLevel level = LogLevel::info;
  std::string module = {};
  std::string version = {};
  std::string request_id = {};  // empty: logged in no call
  std::string text = {};        // valid UTF-8, otherwise as the module wrote it
  std::uint64_t dropped = 0;    // more than 0: this is a note that so many lines are missing here

  bool operator==(const LogRecord&) const = default;
};

struct LogRecordMessage {
  enum class For : std::uint16_t { subscription, call };
  For purpose = For::subscription;
  std::uint64_t id = 0;  // of the subscription or of the call
  LogRecord record = {};
};

struct LogsSubscribed {
  std::uint64_t id = 0;
  std::optional<Error> error = {};  // nullopt: the client is subscribed
};

// How long calls may take. On a direct line both are more than 0.
struct CallTimeouts {
  std::chrono::nanoseconds usual{0};  // of a call that sets no timeout
  std::chrono::nanoseconds longest{0};
};

struct LineOpened {
  std::uint64_t id = 0;
  std::variant<CallTimeouts, Error> outcome = {};
};

struct LineEnded {
  std::uint64_t line = 0;
  std::uint64_t started = 0;
  std::uint64_t guilty = 0;  // place on the line of the call that ended the worker; 0: none
  Error guilty_error = {};
  Error others_error = {};
};

struct LineClosing {
  std::uint64_t accepted = 0;
};

// Modules in one Stats message at most, so that the message fits into a frame.
constexpr std::size_t kMaxModulesListed = 16384;

using ServerMessage =
    std::variant<ServerHello, AnswerView, WorkerList, ProtocolViolation, Stats, LoaderRegistered, SourceWanted,
                 ChunkView, LogRecordMessage, LogsSubscribed, LineOpened, LineEnded, LineClosing>;

tl::expected<ServerMessage, ProtocolViolation> decode_server_message(const Frame& frame);

void encode(OutputBuffer& out, const ServerHello& hello);
void encode_result(OutputBuffer& out, std::uint64_t id, const ResultView& result, const Usage& usage);
void encode_error(OutputBuffer& out, std::uint64_t id, const Error& error, const Usage& usage);
void encode(OutputBuffer& out, const WorkerList& list);
void encode(OutputBuffer& out, const ProtocolViolation& violation);
// `stats.modules` has at most kMaxModulesListed entries.
void encode(OutputBuffer& out, const Stats& stats);
void encode(OutputBuffer& out, const LoaderRegistered& registered);
void encode(OutputBuffer& out, const SourceWanted& wanted);
void encode(OutputBuffer& out, const ChunkView& chunk);
void encode_log_record(OutputBuffer& out, LogRecordMessage::For purpose, std::uint64_t id, const LogRecord& record);
void encode(OutputBuffer& out, const LogRecordMessage& message);
void encode(OutputBuffer& out, const LogsSubscribed& subscribed);
void encode(OutputBuffer& out, const LineOpened& opened);
void encode(OutputBuffer& out, const LineEnded& ended);
void encode(OutputBuffer& out, const LineClosing& closing);

}  // namespace holdfast::ipc
