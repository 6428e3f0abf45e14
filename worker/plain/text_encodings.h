// Decoders for the encodings of the Encoding Standard (https://encoding.spec.whatwg.org) other than UTF-8 and
// "replacement", which no TextDecoder has. They decode byte by byte, as the standard does. The tables come from ICU.
// Knows no V8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ipc/base/utf.h"

namespace holdfast::worker {

// In the order of the labels in runtime/encoding.js.
enum class TextEncoding : std::uint8_t {
  utf_8,
  utf_16le,
  utf_16be,
  x_user_defined,
  gbk,
  gb18030,
  big5,
  euc_jp,
  iso_2022_jp,
  shift_jis,
  euc_kr,
  // From here on a byte is a character.
  ibm866,
  iso_8859_2,
  iso_8859_3,
  iso_8859_4,
  iso_8859_5,
  iso_8859_6,
  iso_8859_7,
  iso_8859_8,
  iso_8859_8_i,
  iso_8859_10,
  iso_8859_13,
  iso_8859_14,
  iso_8859_15,
  iso_8859_16,
  koi8_r,
  koi8_u,
  macintosh,
  windows_874,
  windows_1250,
  windows_1251,
  windows_1252,
  windows_1253,
  windows_1254,
  windows_1255,
  windows_1256,
  windows_1257,
  windows_1258,
  x_mac_cyrillic,
};
constexpr std::size_t kTextEncodings = 39;

constexpr bool is_single_byte(TextEncoding encoding) { return encoding >= TextEncoding::ibm866; }

// Whether a byte below 0x80 is an ASCII character whenever it does not continue another character.
constexpr bool is_ascii_compatible(TextEncoding encoding) {
  return encoding != TextEncoding::utf_16le && encoding != TextEncoding::utf_16be &&
         encoding != TextEncoding::iso_2022_jp;
}

// What a decoder keeps between two parts of a stream. All zero at the beginning.
struct DecoderState {
  std::array<std::uint8_t, 4> pending{};  // the bytes of a character that has begun
  std::uint8_t pending_count = 0;
  std::uint8_t mode = 0;  // of ISO-2022-JP: 4 bits each for the output's state and the decoder's
  bool flag = false;      // of ISO-2022-JP: an escape sequence came last
  bool begun = false;     // the start is past: a byte order mark would be a character now
};

// The most code units that `bytes` bytes can decode to, in any state.
constexpr std::size_t most_units(std::size_t bytes) { return bytes + 8; }

struct Decoded {
  std::size_t units;
  bool failed;  // stopped at an error; the state can then not be used any more
};

// Decodes a part of a stream. `into` must have room for most_units(bytes.size()). The end of the last part is the end
// of the text. Not for UTF-8.
Decoded decode_text(TextEncoding encoding, std::span<const std::uint8_t> bytes, TextPart part, OnTextError on_error,
                    DecoderState& state, char16_t* into);

// --- tables, made by ICU when they are first asked for -------------------------------------------------------------

// The standard's indexes, which give a code point for each pointer, or 0 if there is none.
enum class TextIndex : std::uint8_t { jis0208, jis0212, gb18030, big5, euc_kr };
char32_t code_point_of(TextIndex index, std::size_t pointer);

// The code point of the basic plane for the pointer of four bytes in GB 18030; 0 if there is none.
char32_t gb18030_ranges_code_point(std::size_t pointer);

// The characters of the bytes from 0x80 on; 0 if there is none.
const std::array<char16_t, 128>& single_byte_index(TextEncoding encoding);

}  // namespace holdfast::worker
