// Base64 (RFC 4648). All functions are safe to call from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

constexpr std::size_t base64_length(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// The value, from 0 to 63, of a character of the standard alphabet (RFC 4648, section 4); -1 for any other character.
int base64_value(char character);

// Encodes in the standard alphabet with padding. Writes base64_length(bytes.size()) characters.
void encode_base64(std::span<const std::uint8_t> bytes, std::uint8_t* into);
std::string to_base64(std::string_view bytes);

// Encodes in the alphabet for URLs (RFC 4648, section 5) without padding (RFC 7515, section 2).
std::string to_base64url(std::span<const std::uint8_t> bytes);

// Decodes the standard alphabet as the Infra Standard's forgiving decoder does
// (https://infra.spec.whatwg.org/#forgiving-base64): white space is skipped, padding is optional. The bytes overwrite
// the characters. Returns the number of bytes; nullopt where the characters are not forgiving Base64.
std::optional<std::size_t> decode_base64_in_place(std::span<std::uint8_t> characters);

// Decodes the alphabet for URLs, without white space and padding. The bytes overwrite the characters. Returns the
// number of bytes; nullopt where the characters are not base64url.
std::optional<std::size_t> decode_base64url_in_place(std::span<std::uint8_t> characters);

}  // namespace holdfast
