#include "supervisor/log_output.h"

#include <fmt/format.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "ipc/log_text.h"
#include "ipc/text.h"

namespace holdfast::supervisor {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %l %v";

// One JSON object on each line; its keys are those of a module's line (ipc/log_text.h), as far as it has them.
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

std::shared_ptr<spdlog::logger> make_logger(const char* name, const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>(name, std::make_shared<spdlog::sinks::stderr_sink_st>());
  logger->set_level(spdlog::level::from_str(level));
  return logger;
}

// Null until the log is set up, as in tests: then modules' lines are written as the supervisor's own.
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
  if (format == LogFormat::json) {
    own->set_formatter(std::make_unique<JsonFormatter>());
    modules->set_pattern("%v");
  } else {
    own->set_pattern(kPattern);
    modules->set_pattern(kPattern);
  }
  spdlog::set_default_logger(std::move(own));
  module_output() = {format, std::move(modules)};
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
