#include "ipc/base/base64.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace holdfast::worker {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::uint8_t kInvalid = 0xFF;
constexpr std::array<std::uint8_t, 256> kValues = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(kInvalid);
  for (std::uint8_t value = 0; value < 64; ++value) values[static_cast<std::uint8_t>(kAlphabet[value])] = value;
  return values;
}();

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

// Four characters at a time, as far as there are only those of the alphabet. Returns how many were read.
std::size_t decode_whole_groups(std::span<const std::uint8_t> characters, std::uint8_t* into) {
  std::size_t at = 0;
  for (; characters.size() - at >= 4; at += 4, into += 3) {
    const std::uint8_t a = kValues[characters[at]], b = kValues[characters[at + 1]];
    const std::uint8_t c = kValues[characters[at + 2]], d = kValues[characters[at + 3]];
    if (((a | b | c | d) & 0x80) != 0) break;
    into[0] = static_cast<std::uint8_t>(a << 2 | b >> 4);
    into[1] = static_cast<std::uint8_t>(b << 4 | c >> 2);
    into[2] = static_cast<std::uint8_t>(c << 6 | d);
  }
  return at;
}

}  // namespace

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

std::optional<std::size_t> decode_base64_in_place(std::span<std::uint8_t> characters) {
  // What is read is always ahead of what is written.
  const std::size_t whole = decode_whole_groups(characters, characters.data());
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
  if (rest.size() % 4 == 1) return std::nullopt;
  const std::size_t groups = decode_whole_groups(rest, out);
  out += groups / 4 * 3;
  rest = rest.subspan(groups);
  if (rest.size() >= 4) return std::nullopt;
  if (!rest.empty()) {
    const std::uint8_t a = kValues[rest[0]], b = kValues[rest[1]], c = rest.size() == 3 ? kValues[rest[2]] : 0;
    if (((a | b | c) & 0x80) != 0) return std::nullopt;
    *out++ = static_cast<std::uint8_t>(a << 2 | b >> 4);
    if (rest.size() == 3) *out++ = static_cast<std::uint8_t>(b << 4 | c >> 2);
  }
  return static_cast<std::size_t>(out - characters.data());
}

}  // namespace holdfast::worker
