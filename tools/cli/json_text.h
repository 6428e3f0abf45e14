// JSON as text: payloads on their way to a module and results on their way to a terminal or a pipe. Nothing here
// builds a document; what was checked is passed on byte for byte.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace holdfast::cli {

// What keeps `text` from being one JSON text (RFC 8259) in UTF-8, with line and column, fit to print; nothing if it
// is one. Lone surrogates in \u escapes are JSON, and are what JavaScript writes for such strings.
std::optional<std::string> json_problem(std::string_view text);

// Whether a valid JSON text is an array.
bool is_json_array(std::string_view json);

// The same JSON value in a form that no terminal acts upon: DEL and C1 control characters, which JSON allows inside
// strings as they are, become \u escapes; everything else stays byte for byte. `json` must be valid.
std::string json_for_output(std::string_view json);

// A document of our own making in one line, in the same safe form. Bytes in strings that are not UTF-8 become U+FFFD.
std::string to_output(const nlohmann::ordered_json& document);

}  // namespace holdfast::cli
