// A check of JSON that is passed on without being read.
#pragma once

#include <string_view>

namespace holdfast::ipc {

// Whether `text` is one JSON object (RFC 8259) in well-formed UTF-8, nested no deeper than 64, whose \u escapes of
// surrogates come in pairs.
bool is_json_object(std::string_view text);

}  // namespace holdfast::ipc
