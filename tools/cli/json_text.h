// JSON as text: payloads on their way to a module, and results on their way to a terminal or a pipe. Checked text is
// passed on byte for byte, not rebuilt from a document.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast::cli {

// Why `text` is not one JSON text (RFC 8259) in UTF-8, with line and column, safe to print; nullopt if it is one.
// Lone surrogates in \u escapes are valid: JavaScript writes them for such strings.
std::optional<std::string> json_problem(std::string_view text);

// Whether a valid JSON text is an array.
bool is_json_array(std::string_view json);

// A document on one line, safe to print on a terminal. Bytes in strings that are not UTF-8 become U+FFFD.
std::string to_output(const nlohmann::ordered_json& document);

}  // namespace holdfast::cli
