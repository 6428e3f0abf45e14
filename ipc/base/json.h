// JSON as text (RFC 8259): a check of JSON that is passed on without being read, and JSON that is harmless on a
// terminal.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::ipc {

// Whether `text` is one JSON object in well-formed UTF-8, nested no deeper than 64, whose \u escapes of surrogates come
// in pairs.
bool is_json_object(std::string_view text);

// `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD. Control characters, C1 and DEL
// included, are escaped, so that the string is harmless on a terminal.
std::string json_string(std::string_view text);

// The JSON value of `json`, harmless on a terminal: DEL and C1 control characters, which JSON allows unescaped in
// strings, become \u escapes. Everything else stays byte for byte. `json` must be valid.
std::string json_for_output(std::string_view json);

}  // namespace holdfast::ipc
