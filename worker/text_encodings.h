// The encodings of the Encoding Standard (https://encoding.spec.whatwg.org) other than UTF-8, decoded as the standard
// says, byte by byte. All but "replacement", which no TextDecoder has. ICU has the tables. Knows no V8.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

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

// Whether a byte below 0x80 is that character wherever no other one has begun.
constexpr bool is_ascii_compatible(TextEncoding encoding) {
  return encoding != TextEncoding::utf_16le && encoding != TextEncoding::utf_16be &&
         encoding != TextEncoding::iso_2022_jp;
}

// What a decoder keeps between two parts of a stream. All zero at the beginning.
struct DecoderState {
  std::array<std::uint8_t, 4> pending{};  // the bytes of a character that has begun
  std::uint8_t pending_count = 0;
  std::uint8_t mode = 0;  // of ISO-2022-JP: 4 bits each for the output's state and the decoder's
  bool flag = false;      // of ISO-2022-JP: the last thing was an escape sequence
  bool begun = false;     // a byte order mark would be a character now
};

// How many code units at most this many bytes come to, whatever the state is.
constexpr std::size_t most_units(std::size_t bytes) { return bytes + 8; }

struct Decoded {
  std::size_t units;
  bool failed;  // is_fatal, and there was an error; the state is of no use then
};

// `into` has room for most_units(). Unless `more` is to follow, the end of the bytes is the end of the text. Not for
// UTF-8.
Decoded decode_text(TextEncoding encoding, std::span<const std::uint8_t> bytes, bool more, bool is_fatal,
                    DecoderState& state, char16_t* into);

// --- tables, made by ICU when they are first asked for -------------------------------------------------------------

// What the standard calls an index: code points by pointer. 0 where there is none.
enum class TextIndex : std::uint8_t { jis0208, jis0212, gb18030, big5, euc_kr };
char32_t code_point_of(TextIndex index, std::size_t pointer);

// Of four bytes in GB 18030 that mean a character of the basic plane; 0 where there is none.
char32_t gb18030_ranges_code_point(std::size_t pointer);

// The characters of the bytes from 0x80 on; 0 where there is none.
const std::array<char16_t, 128>& single_byte_index(TextEncoding encoding);

}  // namespace holdfast::worker
