// What modules log, as text: the supervisor's log and the command line write records in the same words.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "ipc/client_messages.h"

namespace holdfast::ipc {

// "2026-01-31T12:00:00.000Z" (RFC 3339).
std::string utc_time(std::chrono::nanoseconds since_1970);

// `text` as a JSON string with its quotes (RFC 8259). What is not UTF-8 becomes U+FFFD; control characters, C1 and DEL
// among them, are escaped, so that a terminal shows it as it is.
std::string json_string(std::string_view text);

// {"time":…,"level":…,"module":…,"version":…,"requestId":…,"message":…}, one line without its end. `requestId` is not
// there where the record has none; a note has "dropped" with the number of lines that are missing.
std::string as_json(const LogRecord& record);

}  // namespace holdfast::ipc
