// UTF-8 and UTF-16 as the Encoding Standard defines them (https://encoding.spec.whatwg.org).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace holdfast {

constexpr char16_t kReplacementCharacter = 0xFFFD;

// What a decoder does at an error: writes a replacement character, or stops.
enum class OnTextError { replace, stop };

// Whether more of a text follows after the part that is given.
enum class TextPart { more_follows, last };

bool is_ascii(std::span<const std::uint8_t> bytes);

// Whether none of the bytes is from 0x80 to 0x9F: they then mean the same in Latin-1 and in windows-1252.
bool has_no_c1_controls(std::span<const std::uint8_t> bytes);

// What a sequence of bytes, which is not empty, begins with.
struct Utf8Sequence {
  enum class Kind { complete, invalid, incomplete };
  Kind kind;
  // In bytes. For an invalid sequence, the number of bytes that one replacement character stands for.
  std::size_t length;
  char32_t code_point;  // only of a complete one
};
Utf8Sequence first_utf8_sequence(std::span<const std::uint8_t> bytes);

// The number of bytes at the end that begin a sequence which further bytes may complete.
std::size_t incomplete_utf8_tail(std::span<const std::uint8_t> bytes);

struct DecodedUtf8 {
  std::size_t units;
  bool is_valid;
};

// Writes at most as many code units as there are bytes.
DecodedUtf8 decode_utf8(std::span<const std::uint8_t> bytes, OnTextError on_error, char16_t* into);

bool is_valid_utf8(std::span<const std::uint8_t> bytes);

// The size of the code units in UTF-8. A lone surrogate counts as the replacement character.
std::size_t utf8_length(std::span<const char16_t> units);

// The number of code units before the first lone surrogate.
std::size_t well_formed_prefix(std::span<const char16_t> units);

struct EncodedUtf8 {
  std::size_t units_read;
  std::size_t bytes_written;
};

// Appends one code point, which is not a surrogate, as UTF-8.
void append_utf8(std::string& text, char32_t code_point);

// Encodes as many whole characters as there is room for. Leaves a lead surrogate at the very end unread if more
// follows; in the last part it is a lone one.
EncodedUtf8 encode_utf8(std::span<const char16_t> units, std::span<std::uint8_t> into, TextPart part);
// Encodes as many Latin-1 characters as there is room for.
EncodedUtf8 encode_latin1_as_utf8(std::span<const std::uint8_t> units, std::span<std::uint8_t> into);

}  // namespace holdfast
