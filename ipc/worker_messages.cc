#include "ipc/worker_messages.h"

#include <fmt/format.h>

#include <algorithm>

#include "ipc/shared_page.h"
#include "ipc/wire.h"
#include "ipc/worker.capnp.h"

namespace holdfast::ipc {
namespace {

// Rounded up, and cut to what fits.
std::uint32_t micros(std::chrono::nanoseconds time) {
  const std::int64_t rounded = (time.count() + 999) / 1000;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(rounded, 0, UINT32_MAX));
}

using std::chrono::steady_clock;

constexpr std::uint16_t kStopReasonCount = 3;
// A hostile list may take no byte for an element.
constexpr unsigned kMaxVariables = 65536;
constexpr std::uint16_t kCancelReasonCount = 2;

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};
template <class... Ts>
Overloaded(Ts...) -> Overloaded<Ts...>;

static_assert(std::is_same_v<steady_clock::period, std::nano>, "steady_clock is CLOCK_MONOTONIC, in nanoseconds");

std::uint64_t nanos(steady_clock::time_point time) {
  return static_cast<std::uint64_t>(time.time_since_epoch().count());
}

tl::unexpected<ProtocolViolation> unknown_kind() {
  return tl::unexpected(ProtocolViolation{"a message of an unknown kind"});
}

}  // namespace

tl::expected<ForkRequest, ProtocolViolation> decode_zygote_request(const Frame& frame) {
  using Result = tl::expected<ForkRequest, ProtocolViolation>;
  return read_message<wire::ZygoteRequest>(
      frame, [](wire::ZygoteRequest::Reader message) -> Result { return ForkRequest{message.getFork()}; });
}

tl::expected<ZygoteReply, ProtocolViolation> decode_zygote_reply(const Frame& frame) {
  using Result = tl::expected<ZygoteReply, ProtocolViolation>;
  return read_message<wire::ZygoteReply>(frame, [](wire::ZygoteReply::Reader message) -> Result {
    switch (message.which()) {
      case wire::ZygoteReply::READY:
        return ZygoteReady{};
      case wire::ZygoteReply::FORKED:
        return WorkerForked{message.getForked()};
      case wire::ZygoteReply::FORK_FAILED:
        return WorkerForkFailed{message.getForkFailed().getWorker(),
                                std::string(view(message.getForkFailed().getReason()))};
      case wire::ZygoteReply::EXITED:
        return WorkerExited{message.getExited().getWorker(), message.getExited().getWaitStatus(),
                            read_duration(message.getExited().getCpuNanos())};
      case wire::ZygoteReply::FAILED:
        return ZygoteFailed{std::string(view(message.getFailed()))};
    }
    return unknown_kind();
  });
}

void encode(OutputBuffer& out, const ForkRequest& request) {
  write_message<wire::ZygoteRequest>(out, 0, [&](auto root) { root.setFork(request.worker); });
}

void encode(OutputBuffer& out, const ZygoteReply& reply) {
  std::size_t words = 0;
  if (auto* failed = std::get_if<WorkerForkFailed>(&reply)) words = words_for(failed->reason.size());
  if (auto* failed = std::get_if<ZygoteFailed>(&reply)) words = words_for(failed->reason.size());
  write_message<wire::ZygoteReply>(out, words, [&](wire::ZygoteReply::Builder root) {
    std::visit(Overloaded{
                   [&](const ZygoteReady&) { root.setReady(); },
                   [&](const WorkerForked& forked) { root.setForked(forked.worker); },
                   [&](const WorkerForkFailed& failed) {
                     auto to = root.initForkFailed();
                     to.setWorker(failed.worker);
                     set_text(failed.reason, [&](unsigned size) { return to.initReason(size); });
                   },
                   [&](const WorkerExited& exited) {
                     auto to = root.initExited();
                     to.setWorker(exited.worker);
                     to.setWaitStatus(exited.wait_status);
                     to.setCpuNanos(as_nanos(exited.cpu_time));
                   },
                   [&](const ZygoteFailed& failed) {
                     set_text(failed.reason, [&](unsigned size) { return root.initFailed(size); });
                   },
               },
               reply);
  });
}

tl::expected<WorkerRequest, ProtocolViolation> decode_worker_request(const Frame& frame) {
  using Result = tl::expected<WorkerRequest, ProtocolViolation>;
  return read_message<wire::WorkerRequest>(frame, [](wire::WorkerRequest::Reader message) -> Result {
    switch (message.which()) {
      case wire::WorkerRequest::LOAD: {
        auto load = message.getLoad();
        if (load.getClockResolutionNanos() == 0 || load.getClockResolutionNanos() > INT64_MAX) {
          return tl::unexpected(ProtocolViolation{"a clock resolution of 0"});
        }
        if (load.getEnvironment().size() > kMaxVariables) {
          return tl::unexpected(ProtocolViolation{"too many environment variables"});
        }
        std::vector<std::pair<std::string_view, std::string_view>> environment;
        for (auto variable : load.getEnvironment()) {
          environment.emplace_back(view(variable.getName()), view(variable.getValue()));
        }
        return LoadRequest{view(load.getModule()),
                           view(load.getVersion()),
                           view(load.getFileName()),
                           view(load.getSource()),
                           load.getMemoryBytes(),
                           load.getMaxPayloadBytes(),
                           std::chrono::nanoseconds(load.getClockResolutionNanos()),
                           load.getAllowCodeFromStrings(),
                           load.getTag(),
                           load.getLenientResults(),
                           std::move(environment)};
      }
      case wire::WorkerRequest::CALL: {
        auto call = message.getCall();
        auto encoding = checked_enum<Encoding>(call.getEncoding(), kEncodingCount, "payload encoding");
        if (!encoding) return tl::unexpected(encoding.error());
        auto arguments = checked_enum<ArgumentStyle>(call.getArguments(), kArgumentStyleCount, "argument style");
        if (!arguments) return tl::unexpected(arguments.error());
        if (call.getDeadlineNanos() > INT64_MAX)
          return tl::unexpected(ProtocolViolation{"a deadline beyond the clock's range"});
        auto result = checked_enum<ResultEncoding>(call.getResultEncoding(), kResultEncodingCount, "result encoding");
        if (!result) return tl::unexpected(result.error());
        return WorkerCall{call.getId(),
                          view(call.getFunction()),
                          view(call.getPayload()),
                          *encoding,
                          *arguments,
                          steady_clock::time_point(std::chrono::nanoseconds(call.getDeadlineNanos())),
                          *result,
                          call.getStreamWindowBytes()};
      }
      case wire::WorkerRequest::CANCEL: {
        auto cancel = message.getCancel();
        auto reason = checked_enum<CancelReason>(cancel.getReason(), kCancelReasonCount, "reason for a cancellation");
        if (!reason) return tl::unexpected(reason.error());
        return WorkerCancel{cancel.getCall(), *reason};
      }
      case wire::WorkerRequest::GRANT:
        return StreamGrant{message.getGrant().getCall(), message.getGrant().getBytes()};
      case wire::WorkerRequest::OPEN_LINE: {
        auto open = message.getOpenLine();
        return OpenWorkerLine{open.getCall(), read_timeout(open.getDefaultTimeoutNanos()),
                              read_timeout(open.getLongestTimeoutNanos()), open.getMaxCalls(),
                              read_timeout(open.getBusyPollNanos())};
      }
      case wire::WorkerRequest::CLOSE_LINE:
        return CloseWorkerLine{};
    }
    return unknown_kind();
  });
}

std::string request_id(std::uint64_t tag, std::uint64_t call) {
  if (!SharedPage::is_line_call(call)) return fmt::format("{:016x}-{}", tag, SharedPage::place_of(call));
  return fmt::format("{:016x}-line-{}", tag, SharedPage::place_on_line(call));
}

void encode(OutputBuffer& out, const LoadRequest& load) {
  constexpr std::size_t kFixedWordsEach = 4;
  std::size_t words = words_for(load.module.size()) + words_for(load.version.size()) + words_for(load.file_name.size());
  for (const auto& [name, value] : load.environment) {
    words += kFixedWordsEach + words_for(name.size()) + words_for(value.size());
  }
  write_message<wire::WorkerRequest>(out, words, words_for(load.source.size()), [&](auto root) {
    auto to = root.initLoad();
    set_text(load.module, [&](unsigned size) { return to.initModule(size); });
    set_text(load.version, [&](unsigned size) { return to.initVersion(size); });
    set_text(load.file_name, [&](unsigned size) { return to.initFileName(size); });
    to.setSource(to_data(load.source));
    to.setMemoryBytes(load.memory_bytes);
    to.setMaxPayloadBytes(load.max_payload_bytes);
    to.setClockResolutionNanos(static_cast<std::uint64_t>(load.clock_resolution.count()));
    to.setAllowCodeFromStrings(load.allow_code_from_strings);
    to.setTag(load.tag);
    to.setLenientResults(load.lenient_results);
    if (load.environment.empty()) return;
    auto variables = to.initEnvironment(static_cast<unsigned>(load.environment.size()));
    for (unsigned i = 0; i < variables.size(); ++i) {
      const auto& [name, value] = load.environment[i];
      set_text(name, [&](unsigned size) { return variables[i].initName(size); });
      set_text(value, [&](unsigned size) { return variables[i].initValue(size); });
    }
  });
}

void encode(OutputBuffer& out, const WorkerCall& call) {
  const auto fill = [&](wire::WorkerCall::Builder to) {
    to.setId(call.id);
    set_text(call.function, [&](unsigned size) { return to.initFunction(size); });
    to.setEncoding(static_cast<wire::Encoding>(call.encoding));
    to.setArguments(static_cast<wire::ArgumentStyle>(call.arguments));
    to.setDeadlineNanos(nanos(call.deadline));
    to.setResultEncoding(static_cast<wire::ResultEncoding>(call.result_encoding));
    to.setStreamWindowBytes(call.stream_window_bytes);
  };
  const std::size_t words = words_for(call.function.size());
  if (can_stay_in_place(call.payload, call.payload_owner)) {
    const auto fill_in_place = [&](wire::WorkerRequest::Builder root, capnp::Orphan<capnp::Data>&& payload) {
      auto to = root.initCall();
      fill(to);
      to.adoptPayload(std::move(payload));
    };
    return write_message_in_place<wire::WorkerRequest>(out, words, call.payload, call.payload_owner, fill_in_place);
  }
  write_message<wire::WorkerRequest>(out, words, words_for(call.payload.size()), [&](auto root) {
    auto to = root.initCall();
    fill(to);
    to.setPayload(to_data(call.payload));
  });
}

void encode(OutputBuffer& out, const WorkerCancel& cancel) {
  write_message<wire::WorkerRequest>(out, 0, [&](auto root) {
    auto to = root.initCancel();
    to.setCall(cancel.call);
    to.setReason(static_cast<wire::CancelReason>(cancel.reason));
  });
}

void encode_worker_grant(OutputBuffer& out, const StreamGrant& grant) {
  write_message<wire::WorkerRequest>(out, 0, [&](auto root) {
    auto to = root.initGrant();
    to.setCall(grant.call);
    to.setBytes(grant.bytes);
  });
}

void encode(OutputBuffer& out, const OpenWorkerLine& open) {
  write_message<wire::WorkerRequest>(out, 0, [&](auto root) {
    auto to = root.initOpenLine();
    to.setCall(open.call);
    to.setDefaultTimeoutNanos(as_nanos(open.default_timeout));
    to.setLongestTimeoutNanos(as_nanos(open.longest_timeout));
    to.setMaxCalls(open.max_calls);
    to.setBusyPollNanos(as_nanos(open.busy_poll));
  });
}

void encode(OutputBuffer& out, const CloseWorkerLine&) {
  write_message<wire::WorkerRequest>(out, 0, [&](auto root) { root.setCloseLine(); });
}

// The words of a WorkerCancel: the root's pointer, the request with its pointer, the cancellation. A call's frame has
// more: its text alone takes a word, its fields and pointers take five.
std::optional<std::uint64_t> cancelled_worker_call(const Frame& frame) {
  constexpr std::size_t kWords = 1 + 2 + 2;
  if (frame.total_words() != kWords) return std::nullopt;
  const auto request = decode_worker_request(frame);
  const auto* cancel = request ? std::get_if<WorkerCancel>(&*request) : nullptr;
  return cancel == nullptr ? std::nullopt : std::optional(cancel->call);
}

tl::expected<WorkerMessage, ProtocolViolation> decode_worker_message(const Frame& frame) {
  using Result = tl::expected<WorkerMessage, ProtocolViolation>;
  return read_message<wire::WorkerMessage>(frame, [](wire::WorkerMessage::Reader message) -> Result {
    switch (message.which()) {
      case wire::WorkerMessage::READY:
        return WorkerReady{};
      case wire::WorkerMessage::LOADED:
        return Loaded{};
      case wire::WorkerMessage::LOAD_FAILED: {
        auto error = read_error(message.getLoadFailed());
        if (!error) return tl::unexpected(error.error());
        return LoadFailed{std::move(*error)};
      }
      case wire::WorkerMessage::ANSWER: {
        auto answer = read_answer(message.getAnswer());
        if (!answer) return tl::unexpected(answer.error());
        answer->usage.run = std::chrono::microseconds(message.getRunMicros());
        return std::move(*answer);
      }
      case wire::WorkerMessage::LOG: {
        auto level = checked_enum<LogLevel>(message.getLog().getLevel(), kLogLevelCount, "log level");
        if (!level) return tl::unexpected(level.error());
        return LogLine{*level, view(message.getLog().getText()), message.getLog().getCall(),
                       message.getLog().getDropped()};
      }
      case wire::WorkerMessage::STOPPED: {
        auto from = message.getStopped();
        auto reason = checked_enum<StopReason>(from.getReason(), kStopReasonCount, "stop reason");
        if (!reason) return tl::unexpected(reason.error());
        return Stopped{*reason, from.getCall(), view(from.getStack()), view(from.getDetail())};
      }
      case wire::WorkerMessage::CHUNK: {
        auto chunk = read_chunk(message.getChunk());
        if (!chunk) return tl::unexpected(chunk.error());
        return *chunk;
      }
      case wire::WorkerMessage::RAN:
        return WorkerRan{message.getRan(), std::chrono::microseconds(message.getRunMicros())};
    }
    return unknown_kind();
  });
}

void encode(OutputBuffer& out, const WorkerReady&) {
  write_message<wire::WorkerMessage>(out, 0, [&](auto root) { root.setReady(); });
}

void encode(OutputBuffer& out, const Loaded&) {
  write_message<wire::WorkerMessage>(out, 0, [&](auto root) { root.setLoaded(); });
}

void encode(OutputBuffer& out, const LoadFailed& failed) {
  write_message<wire::WorkerMessage>(out, words_for(failed.error),
                                     [&](auto root) { write_error(root.initLoadFailed(), failed.error); });
}

void encode_worker_result(OutputBuffer& out, std::uint64_t call, const ResultView& result,
                          std::chrono::nanoseconds run) {
  write_message<wire::WorkerMessage>(out, 0, words_for(result.payload.size()), [&](auto root) {
    write_result(root.initAnswer(), call, result);
    root.setRunMicros(micros(run));
  });
}

void encode_worker_error(OutputBuffer& out, std::uint64_t call, const Error& error, std::chrono::nanoseconds run) {
  write_message<wire::WorkerMessage>(out, words_for(error), [&](auto root) {
    root.setRunMicros(micros(run));
    auto to = root.initAnswer();
    to.setId(call);
    write_error(to.initError(), error);
  });
}

void encode_worker_chunk(OutputBuffer& out, const ChunkView& chunk) {
  write_message<wire::WorkerMessage>(out, 0, words_for(chunk.value.payload.size()),
                                     [&](auto root) { write_chunk(root.initChunk(), chunk); });
}

void encode(OutputBuffer& out, const LogLine& line) {
  write_message<wire::WorkerMessage>(out, words_for(line.text.size()), [&](auto root) {
    auto to = root.initLog();
    to.setLevel(static_cast<wire::LogLevel>(line.level));
    set_text(line.text, [&](unsigned size) { return to.initText(size); });
    to.setCall(line.call);
    to.setDropped(line.dropped);
  });
}

void encode(OutputBuffer& out, const WorkerRan& ran) {
  write_message<wire::WorkerMessage>(out, 0, [&](auto root) {
    root.setRan(ran.call);
    root.setRunMicros(micros(ran.time));
  });
}

void encode(OutputBuffer& out, const Stopped& stopped) {
  write_message<wire::WorkerMessage>(out, words_for(stopped.stack.size()) + words_for(stopped.detail.size()),
                                     [&](auto root) {
                                       auto to = root.initStopped();
                                       to.setReason(static_cast<wire::StopReason>(stopped.reason));
                                       to.setCall(stopped.call);
                                       set_text(stopped.stack, [&](unsigned size) { return to.initStack(size); });
                                       set_text(stopped.detail, [&](unsigned size) { return to.initDetail(size); });
                                     });
}

}  // namespace holdfast::ipc
