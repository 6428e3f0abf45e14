// Base64 as the Infra Standard has it (https://infra.spec.whatwg.org/#forgiving-base64). Knows no V8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace holdfast::worker {

constexpr std::size_t base64_length(std::size_t bytes) { return (bytes + 2) / 3 * 4; }

// Encodes with padding. `into` must have room for base64_length(bytes.size()) characters; exactly that many are
// written.
void encode_base64(std::span<const std::uint8_t> bytes, std::uint8_t* into);

// Decodes in place: the bytes are written over the characters, from the beginning. Returns how many bytes there are,
// or nothing if the characters are not forgiving Base64; the characters may be overwritten then, too.
std::optional<std::size_t> decode_base64_in_place(std::span<std::uint8_t> characters);

}  // namespace holdfast::worker
