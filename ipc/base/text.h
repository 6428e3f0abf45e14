// Makes text from clients, modules and workers safe to show: they may send any bytes as text.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace holdfast::ipc {

// `text` as valid UTF-8 (The Unicode Standard, table 3-7) of at most `max_bytes`. Each byte that is not part of a
// well-formed character becomes U+FFFD. Longer text is cut at a character boundary and ends with "…".
std::string clean_utf8(std::string_view text, std::size_t max_bytes);

// Whether `text` is well-formed UTF-8.
bool is_well_formed_utf8(std::string_view text);

// `text` for a terminal or a log line. Control characters (C0 except tab and, with Newlines::keep, newline; DEL; C1)
// and bytes that are not UTF-8 become visible escapes, so that no output can move a cursor, change a title or forge a
// line.
enum class Newlines { keep, escape };
std::string printable(std::string_view text, Newlines newlines);

// How much of a text that was refused a message shows.
inline constexpr std::size_t kMaxShownBytes = 200;

// `text` for a message about it: at most `max_bytes` of it, on one line and printable. For a text in quotes, the caller
// adds the quotes.
std::string shown(std::string_view text, std::size_t max_bytes = kMaxShownBytes);

}  // namespace holdfast::ipc
