// The messages of worker.capnp as plain C++ values. Decoding checks everything that the schema cannot express. Views
// point into the frame that they were decoded from and die with it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "ipc/client_messages.h"
#include "ipc/frame.h"

namespace holdfast::ipc {

// --- supervisor and zygote -----------------------------------------------------------------------------------------

struct ForkRequest {
  std::uint64_t worker = 0;
};

struct ZygoteReady {};

struct WorkerForked {
  std::uint64_t worker = 0;
};

struct WorkerForkFailed {
  std::uint64_t worker = 0;
  std::string reason;
};

struct WorkerExited {
  std::uint64_t worker = 0;
  int wait_status = 0;  // wait(2)
  std::chrono::nanoseconds cpu_time{0};
};

struct ZygoteFailed {
  std::string reason;
};

using ZygoteReply = std::variant<ZygoteReady, WorkerForked, WorkerForkFailed, WorkerExited, ZygoteFailed>;

tl::expected<ForkRequest, ProtocolViolation> decode_zygote_request(const Frame& frame);
tl::expected<ZygoteReply, ProtocolViolation> decode_zygote_reply(const Frame& frame);

void encode(OutputBuffer& out, const ForkRequest& request);
void encode(OutputBuffer& out, const ZygoteReply& reply);

// --- supervisor and worker -----------------------------------------------------------------------------------------

struct LoadRequest {
  std::string_view module;
  std::string_view version;
  std::string_view file_name;
  Bytes source;
  std::uint64_t memory_bytes = 0;
  std::uint64_t max_payload_bytes = 0;
  std::chrono::nanoseconds clock_resolution = std::chrono::microseconds(100);  // more than 0
  bool allow_code_from_strings = false;
  std::uint64_t tag = 0;
  bool lenient_results = false;
  std::vector<std::pair<std::string_view, std::string_view>> environment = {};  // names and values
};

// The request id that a function and the log show for a call. It is unique among all calls of all workers, and does
// not reveal how many there were. `tag` is LoadRequest::tag of the call's worker; `call` is the call's number on that
// worker, with SharedPage::kLineBit for a call of the direct line.
std::string request_id(std::uint64_t tag, std::uint64_t call);

struct WorkerCall {
  std::uint64_t id = 0;
  std::string_view function;
  Bytes payload;
  Encoding encoding = Encoding::json;
  ArgumentStyle arguments = ArgumentStyle::single;
  std::chrono::steady_clock::time_point deadline{};  // the epoch: none
  ResultEncoding result_encoding = ResultEncoding::automatic;
  std::uint32_t stream_window_bytes = 0;  // 0: the client takes no stream
  BytesOwner payload_owner = {};          // keeps the payload where it is; null: it is copied
};

// How long a function may clean up after its call was cancelled. This is enough for work that does not wait for
// others, and shorter than the time after which the supervisor considers the worker stuck
// (SchedulerOptions::cancel_grace).
constexpr std::chrono::seconds kCancelGrace{1};

enum class CancelReason : std::uint16_t { cancelled, deadline_exceeded };

struct WorkerCancel {
  std::uint64_t call = 0;
  CancelReason reason = CancelReason::cancelled;
};

// Tells the worker to serve the direct line; OpenWorkerLine in worker.capnp defines the fields.
struct OpenWorkerLine {
  std::uint64_t call = 0;
  std::chrono::nanoseconds default_timeout{0};
  std::chrono::nanoseconds longest_timeout{0};
  std::uint32_t max_calls = 0;
  std::chrono::nanoseconds busy_poll{0};
};

struct CloseWorkerLine {};

using WorkerRequest = std::variant<LoadRequest, WorkerCall, WorkerCancel, StreamGrant, OpenWorkerLine, CloseWorkerLine>;

tl::expected<WorkerRequest, ProtocolViolation> decode_worker_request(const Frame& frame);

void encode(OutputBuffer& out, const LoadRequest& load);
void encode(OutputBuffer& out, const WorkerCall& call);
void encode(OutputBuffer& out, const WorkerCancel& cancel);
void encode_worker_grant(OutputBuffer& out, const StreamGrant& grant);
void encode(OutputBuffer& out, const OpenWorkerLine& open);
void encode(OutputBuffer& out, const CloseWorkerLine& close);

// The call that the frame cancels if the frame is a WorkerCancel as encode() makes it; else nullopt. Decodes only
// frames of that size, which of the other messages only grants have, so that it is cheap to look through many.
std::optional<std::uint64_t> cancelled_worker_call(const Frame& frame);

struct WorkerReady {};

struct Loaded {};

struct LoadFailed {
  Error error;
};

struct LogLine {
  LogLevel level = LogLevel::info;
  std::string_view text;
  std::uint64_t call = 0;
  std::uint64_t dropped = 0;
};

enum class StopReason : std::uint16_t { soft_stop, out_of_memory, fatal };

struct Stopped {
  StopReason reason = StopReason::fatal;
  std::uint64_t call = 0;
  std::string_view stack;
  std::string_view detail;
};

// How long the worker has worked, since its last report, on a call that is not answered yet or on work that an
// answered call left behind. The worker sends it once that is at least kLongRun.
struct WorkerRan {
  std::uint64_t call = 0;
  std::chrono::nanoseconds time{0};
};
constexpr std::chrono::milliseconds kLongRun{1};

using WorkerMessage = std::variant<WorkerReady, Loaded, LoadFailed, AnswerView, LogLine, Stopped, ChunkView, WorkerRan>;

tl::expected<WorkerMessage, ProtocolViolation> decode_worker_message(const Frame& frame);

void encode(OutputBuffer& out, const WorkerReady& ready);
void encode(OutputBuffer& out, const Loaded& loaded);
void encode(OutputBuffer& out, const LoadFailed& failed);
// `run`: for how long the worker has worked on the call since its last report (WorkerRan).
void encode_worker_result(OutputBuffer& out, std::uint64_t call, const ResultView& result,
                          std::chrono::nanoseconds run = {});
void encode_worker_error(OutputBuffer& out, std::uint64_t call, const Error& error, std::chrono::nanoseconds run = {});
void encode_worker_chunk(OutputBuffer& out, const ChunkView& chunk);
void encode(OutputBuffer& out, const LogLine& line);
void encode(OutputBuffer& out, const Stopped& stopped);
void encode(OutputBuffer& out, const WorkerRan& ran);

}  // namespace holdfast::ipc
