// The messages about direct lines.
#include "ipc/wire.h"

namespace holdfast::ipc {

tl::expected<LineOpened, ProtocolViolation> read_line_opened(wire::LineOpened::Reader from) {
  switch (from.which()) {
    case wire::LineOpened::OK: {
      const CallTimeouts timeouts = {read_timeout(from.getOk().getDefaultTimeoutNanos()),
                                     read_timeout(from.getOk().getLongestTimeoutNanos())};
      if (timeouts.usual.count() == 0 || timeouts.longest.count() == 0) {
        return tl::unexpected(ProtocolViolation{"a direct line without timeouts for its calls"});
      }
      return LineOpened{from.getId(), timeouts};
    }
    case wire::LineOpened::ERROR: {
      auto error = read_error(from.getError());
      if (!error) return tl::unexpected(error.error());
      return LineOpened{from.getId(), std::move(*error)};
    }
  }
  return tl::unexpected(ProtocolViolation{"a reply about a line of an unknown kind"});
}

tl::expected<LineEnded, ProtocolViolation> read_line_ended(wire::LineEnded::Reader from) {
  auto guilty = read_error(from.getGuiltyError());
  if (!guilty) return tl::unexpected(guilty.error());
  auto others = read_error(from.getOthersError());
  if (!others) return tl::unexpected(others.error());
  return LineEnded{from.getLine(), from.getStarted(), from.getGuilty(), std::move(*guilty), std::move(*others)};
}

void encode(OutputBuffer& out, const OpenLineRequest& request) {
  write_message<wire::ClientMessage>(out, words_for(request.module.size()) + words_for(request.version.size()),
                                     [&](auto root) {
                                       auto to = root.initOpenLine();
                                       to.setId(request.id);
                                       set_text(request.module, [&](unsigned size) { return to.initModule(size); });
                                       set_text(request.version, [&](unsigned size) { return to.initVersion(size); });
                                     });
}

void encode(OutputBuffer& out, const LineCallOverdue& overdue) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) {
    auto to = root.initLineCallOverdue();
    to.setLine(overdue.line);
    to.setCall(overdue.call);
    to.setIsLate(overdue.is_late);
  });
}

void encode(OutputBuffer& out, const LineOpened& opened) {
  const auto* error = std::get_if<Error>(&opened.outcome);
  write_message<wire::ServerMessage>(out, error != nullptr ? words_for(*error) : 0, [&](auto root) {
    auto to = root.initLineOpened();
    to.setId(opened.id);
    if (error != nullptr) return write_error(to.initError(), *error);
    const auto& timeouts = std::get<CallTimeouts>(opened.outcome);
    to.initOk().setDefaultTimeoutNanos(as_nanos(timeouts.usual));
    to.getOk().setLongestTimeoutNanos(as_nanos(timeouts.longest));
  });
}

void encode(OutputBuffer& out, const LineEnded& ended) {
  write_message<wire::ServerMessage>(out, words_for(ended.guilty_error) + words_for(ended.others_error),
                                     [&](auto root) {
                                       auto to = root.initLineEnded();
                                       to.setLine(ended.line);
                                       to.setStarted(ended.started);
                                       to.setGuilty(ended.guilty);
                                       write_error(to.initGuiltyError(), ended.guilty_error);
                                       write_error(to.initOthersError(), ended.others_error);
                                     });
}

void encode(OutputBuffer& out, const LineClosing& closing) {
  write_message<wire::ServerMessage>(out, 0, [&](auto root) { root.initLineClosing().setAccepted(closing.accepted); });
}

// The words of a CancelRequest: the root's pointer, and a message with its tag, the id and no pointer.
std::optional<std::uint64_t> cancelled_call(const Frame& frame) {
  constexpr std::size_t kWords = 1 + 2 + 1;
  if (frame.total_words() > kWords) return std::nullopt;
  const auto message = decode_client_message(frame);
  const auto* cancel = message ? std::get_if<CancelRequest>(&*message) : nullptr;
  return cancel == nullptr ? std::nullopt : std::optional(cancel->id);
}

}  // namespace holdfast::ipc
