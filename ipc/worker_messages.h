// The messages of worker.capnp as plain C++ values; see client_messages.h for how to read this.
#pragma once

#include <chrono>
#include <cstdint>
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

// What a function and the log name a call by: unlike that of any other call of any worker, and no hint at how many
// there were. `tag` is that of the call's worker, `call` the call's number on it, by SharedPage::kLineBit if need be.
std::string request_id(std::uint64_t tag, std::uint64_t call);

struct WorkerCall {
  std::uint64_t id = 0;
  std::string_view function;
  Bytes payload;
  Encoding encoding = Encoding::json;
  ArgumentStyle arguments = ArgumentStyle::single;
  std::chrono::steady_clock::time_point deadline{};  // the epoch: none
  ResultEncoding result_encoding = ResultEncoding::automatic;
  std::uint32_t stream_window_bytes = 0;  // 0: no stream is taken
  BytesOwner payload_owner = {};          // keeps it in its place; null: it is copied
};

// What a function may take after its call was cancelled, to clean up: enough for what does not wait for others, and
// short of what the supervisor waits before it takes the worker for stuck (SchedulerOptions::cancel_grace).
constexpr std::chrono::seconds kCancelGrace{1};

enum class CancelReason : std::uint16_t { cancelled, deadline_exceeded };

struct WorkerCancel {
  std::uint64_t call = 0;
  CancelReason reason = CancelReason::cancelled;
};

// Serve the direct line; see OpenWorkerLine in worker.capnp.
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

// Whether the frame may be a cancellation that encode() made. Far cheaper than to decode it; of what the same build
// sent, only grants look alike; decode_worker_request() has the last word.
bool may_be_worker_cancel(const Frame& frame);

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

// The worker was at work for so long on a call that goes on, since it last said so, or on what a call had left to do
// when it was answered. It says so when that is kLongRun at least.
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
// `run`: for how long the worker was at work on the call since it last said so.
void encode_worker_result(OutputBuffer& out, std::uint64_t call, const ResultView& result,
                          std::chrono::nanoseconds run = {});
void encode_worker_error(OutputBuffer& out, std::uint64_t call, const Error& error, std::chrono::nanoseconds run = {});
void encode_worker_chunk(OutputBuffer& out, const ChunkView& chunk);
void encode(OutputBuffer& out, const LogLine& line);
void encode(OutputBuffer& out, const Stopped& stopped);
void encode(OutputBuffer& out, const WorkerRan& ran);

}  // namespace holdfast::ipc
