// Where the supervisor's log goes: standard error, as text or as JSON, one line for each entry.
#pragma once

#include <string>

#include "ipc/client_messages.h"

namespace holdfast::supervisor {

enum class LogFormat { text, json };

// Levels by spdlog's names: "debug", "info", "warning", "error", "off". What modules log has a level of its own.
void set_up_log(LogFormat format, const std::string& level, const std::string& module_level);

// Writes what a module logged. In text, line breaks and control characters are escaped: no module can forge a line.
void log_module_line(const ipc::LogRecord& record);

}  // namespace holdfast::supervisor
