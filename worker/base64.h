// Base64 as the Infra Standard has it (https://infra.spec.whatwg.org/#forgiving-base64). Knows no V8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace holdfast::worker {

constexpr std::size_t base64_length(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// Writes base64_length() characters.
void encode_base64(std::span<const std::uint8_t> bytes, std::uint8_t* into);

// In the same place: what the characters stand for takes less room than they do. Returns how many bytes there are;
// nothing where the characters are no forgiving Base64.
std::optional<std::size_t> decode_base64_in_place(std::span<std::uint8_t> characters);

}  // namespace holdfast::worker
