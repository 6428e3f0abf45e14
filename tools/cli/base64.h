// Base64 (RFC 4648, 4), for bytes that are to stand in JSON.
#pragma once

#include <string>
#include <string_view>

namespace holdfast::cli {

std::string to_base64(std::string_view bytes);

}  // namespace holdfast::cli
