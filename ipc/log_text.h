// Log records of modules as text, for both the supervisor's log and the command line.
#pragma once

#include <chrono>
#include <string>

#include "ipc/client_messages.h"

namespace holdfast::ipc {

// "2026-01-31T12:00:00.000Z" (RFC 3339).
std::string utc_time(std::chrono::nanoseconds since_1970);

// {"time":…,"level":…,"module":…,"version":…,"requestId":…,"message":…}, on one line without a line break. Without
// "requestId" if the record has none. A note also has "dropped", the number of lines that are missing.
std::string as_json(const LogRecord& record);

}  // namespace holdfast::ipc
