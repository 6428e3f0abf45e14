// Text from elsewhere made fit to show: a client, a module or a worker may send any bytes under the name of text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// `text` as valid UTF-8 (The Unicode Standard, table 3-7) of at most `max_bytes`: each byte that is not part of a
// well-formed character becomes U+FFFD; what is too long is cut at a character's border and ends with "…".
std::string clean_utf8(std::string_view text, std::size_t max_bytes);

// Whether `text` is well-formed UTF-8.
bool is_well_formed_utf8(std::string_view text);

// `text` for a terminal or a log line: control characters (C0 but tab and, where asked for, newline; DEL; C1) and bytes
// that are not UTF-8 become visible escapes, so that no output can move a cursor, change a title or forge a line.
enum class Newlines { keep, escape };
std::string printable(std::string_view text, Newlines newlines);

}  // namespace holdfast::ipc
