#include "ipc/base/base64.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrlAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

using Values = std::array<std::uint8_t, 256>;
constexpr std::uint8_t kInvalid = 0xFF;
constexpr Values values_of(const char* alphabet) {
  Values values{};
  values.fill(kInvalid);
  for (std::uint8_t value = 0; value < 64; ++value) values[static_cast<std::uint8_t>(alphabet[value])] = value;
  return values;
}
constexpr Values kValues = values_of(kAlphabet);
constexpr Values kUrlValues = values_of(kUrlAlphabet);

// Twelve bits at a time.
struct Pair {
  char characters[2];
};
constexpr std::array<Pair, 4096> kPairs = [] {
  std::array<Pair, 4096> pairs{};
  for (std::size_t bits = 0; bits < pairs.size(); ++bits) pairs[bits] = {{kAlphabet[bits >> 6], kAlphabet[bits & 63]}};
  return pairs;
}();

constexpr bool is_ascii_whitespace(std::uint8_t character) {
  return character == ' ' || character == '\t' || character == '\n' || character == '\f' || character == '\r';
}

// Decodes four characters at a time up to the first group that has one that is not in the alphabet. Returns the number
// of characters read.
std::size_t decode_whole_groups(const Values& values, std::span<const std::uint8_t> characters, std::uint8_t* into) {
  std::size_t at = 0;
  for (; characters.size() - at >= 4; at += 4, into += 3) {
    const std::uint8_t a = values[characters[at]], b = values[characters[at + 1]];
    const std::uint8_t c = values[characters[at + 2]], d = values[characters[at + 3]];
    if (((a | b | c | d) & 0x80) != 0) break;
    into[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
    into[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
    into[2] = static_cast<std::uint8_t>(c << 6 | d);
  }
  return at;
}

// Decodes the zero, two or three characters that follow the whole groups. Returns the number of bytes written; nullopt
// where the characters are not the end of any Base64.
std::optional<std::size_t> decode_rest(const Values& values, std::span<const std::uint8_t> rest, std::uint8_t* into) {
  if (rest.empty()) return 0;
  if (rest.size() == 1 || rest.size() > 3) return std::nullopt;
  const std::uint8_t a = values[rest[0]], b = values[rest[1]], c = rest.size() == 3 ? values[rest[2]] : 0;
  if (((a | b | c) & 0x80) != 0) return std::nullopt;
  into[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
  if (rest.size() == 3) into[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
  return rest.size() - 1;
}

}  // namespace

int base64_value(char character) {
  const std::uint8_t value = kValues[static_cast<std::uint8_t>(character)];
  return value == kInvalid ? -1 : value;
}

void encode_base64(std::span<const std::uint8_t> bytes, std::uint8_t* into) {
  std::size_t at = 0;
  for (; bytes.size() - at >= 3; at += 3, into += 4) {
    const std::uint32_t bits =
        static_cast<std::uint32_t>(bytes[at] << 16) | static_cast<std::uint32_t>(bytes[at + 1] << 8) | bytes[at + 2];
    std::memcpy(into, &kPairs[bits >> 12], 2);
    std::memcpy(into + 2, &kPairs[bits & 0xFFF], 2);
  }
  const std::size_t left = bytes.size() - at;
  if (left == 0) return;
  const std::uint32_t bits =
      static_cast<std::uint32_t>(bytes[at] << 16) | (left == 2 ? static_cast<std::uint32_t>(bytes[at + 1] << 8) : 0);
  std::memcpy(into, &kPairs[bits >> 12], 2);
  into[2] = left == 2 ? static_cast<std::uint8_t>(kAlphabet[bits >> 6 & 63]) : '=';
  into[3] = '=';
}

std::string to_base64(std::string_view bytes) {
  std::string text(base64_length(bytes.size()), '\0');
  encode_base64({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()},
                reinterpret_cast<std::uint8_t*>(text.data()));
  return text;
}

std::string to_base64url(std::span<const std::uint8_t> bytes) {
  std::string text = to_base64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  text.resize(text.find_last_not_of('=') + 1);
  std::ranges::replace(text, '+', '-');
  std::ranges::replace(text, '/', '_');
  return text;
}

std::optional<std::size_t> decode_base64_in_place(std::span<std::uint8_t> characters) {
  // What is read is always ahead of what is written.
  const std::size_t whole = decode_whole_groups(kValues, characters, characters.data());
  std::uint8_t* out = characters.data() + whole / 4 * 3;
  if (whole == characters.size()) return static_cast<std::size_t>(out - characters.data());
  // From here on there may be white space and padding.
  std::uint8_t* end =
      std::remove_if(characters.data() + whole, characters.data() + characters.size(), is_ascii_whitespace);
  std::span<const std::uint8_t> rest(characters.data() + whole, end);
  if (rest.size() % 4 == 0) {
    for (int padding = 0; padding < 2 && !rest.empty() && rest.back() == '='; ++padding) {
      rest = rest.first(rest.size() - 1);
    }
  }
  const std::size_t groups = decode_whole_groups(kValues, rest, out);
  out += groups / 4 * 3;
  const auto last = decode_rest(kValues, rest.subspan(groups), out);
  if (!last) return std::nullopt;
  return static_cast<std::size_t>(out - characters.data()) + *last;
}

std::optional<std::size_t> decode_base64url_in_place(std::span<std::uint8_t> characters) {
  const std::size_t whole = decode_whole_groups(kUrlValues, characters, characters.data());
  std::uint8_t* const out = characters.data() + whole / 4 * 3;
  const auto last = decode_rest(kUrlValues, characters.subspan(whole), out);
  if (!last) return std::nullopt;
  return static_cast<std::size_t>(out - characters.data()) + *last;
}

}  // namespace holdfast
