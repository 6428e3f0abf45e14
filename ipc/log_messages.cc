// The messages that carry what modules log.
#include <array>
#include <string>

#include "ipc/wire.h"

namespace holdfast::ipc {

std::string_view to_string(LogLevel level) {
  static constexpr std::array<std::string_view, kLogLevelCount> kNames = {"debug", "info", "warning", "error"};
  return kNames[static_cast<std::size_t>(level)];
}

tl::expected<SubscribeLogsRequest, ProtocolViolation> read_subscribe_logs(wire::SubscribeLogs::Reader from) {
  SubscribeLogsRequest request{.id = from.getId(),
                               .module = view(from.getModule()),
                               .version = view(from.getVersion()),
                               .backlog = from.getBacklog(),
                               .follow = from.getFollow()};
  for (const auto part : {request.module, request.version}) {
    if (part.empty()) continue;
    if (auto problem = name_problem(part, "a part of its name")) {
      return tl::unexpected(ProtocolViolation{"the logs of a module with an invalid name are wanted: " + *problem});
    }
  }
  if (request.module.empty() && !request.version.empty()) {
    return tl::unexpected(ProtocolViolation{"the logs of a version are wanted without a module"});
  }
  return request;
}

tl::expected<LogRecordMessage, ProtocolViolation> read_log_record(wire::LogRecord::Reader from) {
  LogRecordMessage message;
  switch (from.which()) {
    case wire::LogRecord::SUBSCRIPTION:
      message.purpose = LogRecordMessage::For::subscription;
      message.id = from.getSubscription();
      break;
    case wire::LogRecord::CALL:
      message.purpose = LogRecordMessage::For::call;
      message.id = from.getCall();
      break;
    default:
      return tl::unexpected(ProtocolViolation{"a log record of an unknown kind"});
  }
  auto level = checked_enum<LogLevel>(from.getLevel(), kLogLevelCount, "log level");
  if (!level) return tl::unexpected(level.error());
  message.record = {.time = read_duration(from.getTimeNanos()),
                    .level = *level,
                    .module = std::string(view(from.getModule())),
                    .version = std::string(view(from.getVersion())),
                    .request_id = std::string(view(from.getRequestId())),
                    .text = std::string(view(from.getText())),
                    .dropped = from.getDropped()};
  return message;
}

tl::expected<LogsSubscribed, ProtocolViolation> read_logs_subscribed(wire::LogsSubscribed::Reader from) {
  LogsSubscribed subscribed;
  subscribed.id = from.getId();
  switch (from.which()) {
    case wire::LogsSubscribed::OK:
      return subscribed;
    case wire::LogsSubscribed::ERROR: {
      auto error = read_error(from.getError());
      if (!error) return tl::unexpected(error.error());
      subscribed.error = std::move(*error);
      return subscribed;
    }
  }
  return tl::unexpected(ProtocolViolation{"a subscription of an unknown kind"});
}

void encode(OutputBuffer& out, const SubscribeLogsRequest& request) {
  write_message<wire::ClientMessage>(out, words_for(request.module.size()) + words_for(request.version.size()),
                                     [&](auto root) {
                                       auto to = root.initSubscribeLogs();
                                       to.setId(request.id);
                                       set_text(request.module, [&](unsigned size) { return to.initModule(size); });
                                       set_text(request.version, [&](unsigned size) { return to.initVersion(size); });
                                       to.setBacklog(request.backlog);
                                       to.setFollow(request.follow);
                                     });
}

void encode(OutputBuffer& out, const EndLogsRequest& request) {
  write_message<wire::ClientMessage>(out, 0, [&](auto root) { root.setEndLogs(request.id); });
}

void encode_log_record(OutputBuffer& out, LogRecordMessage::For purpose, std::uint64_t id, const LogRecord& record) {
  const std::size_t words = words_for(record.module.size()) + words_for(record.version.size()) +
                            words_for(record.request_id.size()) + words_for(record.text.size());
  write_message<wire::ServerMessage>(out, words, [&](auto root) {
    auto to = root.initLogRecord();
    if (purpose == LogRecordMessage::For::subscription) {
      to.setSubscription(id);
    } else {
      to.setCall(id);
    }
    to.setTimeNanos(as_nanos(record.time));
    to.setLevel(static_cast<wire::LogLevel>(record.level));
    set_text(record.module, [&](unsigned size) { return to.initModule(size); });
    set_text(record.version, [&](unsigned size) { return to.initVersion(size); });
    set_text(record.request_id, [&](unsigned size) { return to.initRequestId(size); });
    set_text(record.text, [&](unsigned size) { return to.initText(size); });
    to.setDropped(record.dropped);
  });
}

void encode(OutputBuffer& out, const LogRecordMessage& message) {
  encode_log_record(out, message.purpose, message.id, message.record);
}

void encode(OutputBuffer& out, const LogsSubscribed& subscribed) {
  write_message<wire::ServerMessage>(out, subscribed.error ? words_for(*subscribed.error) : 0, [&](auto root) {
    auto to = root.initLogsSubscribed();
    to.setId(subscribed.id);
    if (subscribed.error) {
      write_error(to.initError(), *subscribed.error);
    } else {
      to.setOk();
    }
  });
}

}  // namespace holdfast::ipc
