#include "supervisor/log/log_output.h"

#include <fmt/format.h>
#include <spdlog/details/null_mutex.h>
#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <memory>

#include "ipc/base/json.h"
#include "ipc/base/text.h"
#include "ipc/log_text.h"
#include "supervisor/log/log_writer.h"
#include "supervisor/shares/client_log_budget.h"

namespace holdfast::supervisor {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %l %v";

// One JSON object on each line. It has those keys of a module's line (ipc/log_text.h) that apply to it.
class JsonFormatter final : public spdlog::formatter {
 public:
  void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
    const auto level = spdlog::level::to_string_view(message.level);
    fmt::format_to(std::back_inserter(out), "{{\"time\":\"{}\",\"level\":\"{}\",\"message\":{}}}\n",
                   ipc::utc_time(message.time.time_since_epoch()), std::string_view(level.data(), level.size()),
                   ipc::json_string({message.payload.data(), message.payload.size()}));
  }
  std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(); }
};

LogWriter& writer() {
  static LogWriter writer(STDERR_FILENO);
  return writer;
}

class StandardError final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    writer().write({line.data(), line.size()});
  }
  void flush_() override {}
};

std::string format_of_dropped(spdlog::formatter& formatter, std::uint64_t lines) {
  const std::string text = fmt::format("{} log line{} dropped: standard error was not read as fast as they came", lines,
                                       lines == 1 ? "" : "s");
  spdlog::memory_buf_t line;
  formatter.format(spdlog::details::log_msg("holdfastd", spdlog::level::warn, text), line);
  return {line.data(), line.size()};
}

std::shared_ptr<spdlog::logger> make_logger(const char* name, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<StandardError>());
  logger->set_level(spdlog::level::from_str(level));
  return logger;
}

// Null until the log is set up, as in tests. Until then modules' lines are written as the supervisor's own.
struct ModuleOutput {
  LogFormat format = LogFormat::text;
  std::shared_ptr<spdlog::logger> logger;
};
ModuleOutput& module_output() {
  static ModuleOutput output;
  return output;
}

spdlog::level::level_enum level_of(ipc::LogLevel level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                                   spdlog::level::err};
  return kLevels[static_cast<std::size_t>(level)];
}

}  // namespace

void set_up_log(LogFormat format, const std::string& level, const std::string& module_level) {
  auto own = make_logger("holdfastd", level);
  auto modules = make_logger("modules", module_level);
  std::shared_ptr<spdlog::formatter> formatter;
  if (format == LogFormat::json) {
    formatter = std::make_shared<JsonFormatter>();
    own->set_formatter(std::make_unique<JsonFormatter>());
    modules->set_pattern("%v");
  } else {
    formatter = std::make_shared<spdlog::pattern_formatter>(kPattern);
    own->set_pattern(kPattern);
    modules->set_pattern(kPattern);
  }
  writer().set_format_of_dropped([formatter](std::uint64_t lines) { return format_of_dropped(*formatter, lines); });
  spdlog::set_default_logger(std::move(own));
  module_output() = {format, std::move(modules)};
}

LogRetry::LogRetry(boost::asio::io_context& io) : timer_(io) {
  writer().set_on_unwritten([this] { wait(); });
  if (!writer().flush()) wait();
}

LogRetry::~LogRetry() { writer().set_on_unwritten(nullptr); }

void LogRetry::wait() {
  constexpr std::chrono::milliseconds kRetry{20};
  timer_.expires_after(kRetry);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error && !writer().flush()) wait();
  });
}

bool flush_log() { return writer().flush(); }

void finish_log() { writer().flush_for(std::chrono::seconds(1)); }

void abandon_log() { writer().abandon(); }

void log_client_line(UserId user, ipc::LogLevel level, const std::string& text) {
  static ClientLogBudget budget;
  if (!spdlog::should_log(level_of(level))) return;
  const auto dropped = budget.take(user, text.size(), std::chrono::steady_clock::now());
  if (!dropped) return;
  if (*dropped > 0) {
    const std::string whose =
        user == kUnknownUser ? "an unknown user" : fmt::format("user {}", static_cast<uid_t>(user));
    spdlog::warn("{} log line{} about clients of {} dropped: they came faster than {} kB/s", *dropped,
                 *dropped == 1 ? "" : "s", whose, ClientLogBudget::kOfUser.bytes_per_second >> 10);
  }
  spdlog::log(level_of(level), "{}", text);
}

void log_module_line(const ipc::LogRecord& record) {
  const auto& [format, own_logger] = module_output();
  spdlog::logger& logger = own_logger ? *own_logger : *spdlog::default_logger_raw();
  const auto level = level_of(record.level);
  if (!logger.should_log(level)) return;
  if (format == LogFormat::json) return logger.log(level, ipc::as_json(record));
  const std::string call = record.request_id.empty() ? "" : " call " + record.request_id;
  logger.log(level, fmt::format("{}@{}{}: {}", record.module, record.version, call,
                                ipc::printable(record.text, ipc::Newlines::escape)));
}

}  // namespace holdfast::supervisor
