// Log lines of modules as `holdfast` prints them.
#pragma once

#include <string>

#include "ipc/client_messages.h"

namespace holdfast::cli {

// "2026-01-31T12:00:00.000Z info greeter@v1.0.0 REQUEST: text". Further lines of the text are indented and control
// characters are escaped, so that a module cannot forge a line of another module.
std::string log_as_text(const ipc::LogRecord& record);

// "[info] text", for the lines of a single call.
std::string log_of_call(const ipc::LogRecord& record);

// One JSON object on a line (ipc/log_text.h).
std::string log_as_json(const ipc::LogRecord& record);

}  // namespace holdfast::cli
