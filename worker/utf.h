// UTF-8 and UTF-16 as the Encoding Standard has them (https://encoding.spec.whatwg.org). Knows no V8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast::worker {

constexpr char16_t kReplacementCharacter = 0xFFFD;

bool is_ascii(std::span<const std::uint8_t> bytes);

// Whether bytes and code units of Latin-1 are the same characters in windows-1252: none is from 0x80 to 0x9F.
bool has_no_c1_controls(std::span<const std::uint8_t> bytes);

// What is at the beginning of bytes that are not empty.
struct Utf8Sequence {
  enum class Kind { complete, invalid, incomplete };
  Kind kind;
  // How many bytes of it there are. Of an invalid one, as many as one replacement character stands for.
  std::size_t length;
  char32_t code_point;  // of a complete one
};
Utf8Sequence first_utf8_sequence(std::span<const std::uint8_t> bytes);

// How many bytes at the end begin a sequence that further bytes may complete.
std::size_t incomplete_utf8_tail(std::span<const std::uint8_t> bytes);

struct DecodedUtf8 {
  std::size_t units;
  bool is_valid;
};

// Writes at most as many code units as there are bytes. Where `stops_at_errors`, what comes after the first is not
// read.
DecodedUtf8 decode_utf8(std::span<const std::uint8_t> bytes, bool stops_at_errors, char16_t* into);

bool is_valid_utf8(std::span<const std::uint8_t> bytes);

// How many bytes the code units have in UTF-8. A lone surrogate is the replacement character.
std::size_t utf8_length(std::span<const char16_t> units);

// How many code units at the beginning are whole characters: up to the first surrogate without its other half.
std::size_t well_formed_prefix(std::span<const char16_t> units);

struct EncodedUtf8 {
  std::size_t units_read;
  std::size_t bytes_written;
};

// As many whole characters as there is room for. A lead surrogate at the very end is read only where `is_last`, as a
// lone one.
EncodedUtf8 encode_utf8(std::span<const char16_t> units, std::span<std::uint8_t> into, bool is_last);
// The same for Latin-1.
EncodedUtf8 encode_latin1_as_utf8(std::span<const std::uint8_t> units, std::span<std::uint8_t> into);

}  // namespace holdfast::worker
