#include "ipc/base/utf.h"

#include <algorithm>
#include <cstring>

namespace holdfast {
namespace {

// Bytes that are tested together, so that the compiler generates vector instructions.
constexpr std::size_t kBlock = 256;

template <typename Fold>
bool all_blocks(std::span<const std::uint8_t> bytes, Fold is_good) {
  for (; bytes.size() > kBlock; bytes = bytes.subspan(kBlock)) {
    if (!is_good(bytes.first(kBlock))) return false;
  }
  return is_good(bytes);
}

constexpr std::uint64_t kHighBits = 0x8080808080808080;

constexpr bool is_lead_surrogate(char16_t unit) { return (unit & 0xFC00) == 0xD800; }
constexpr bool is_trail_surrogate(char16_t unit) { return (unit & 0xFC00) == 0xDC00; }

// The number of ASCII bytes at the beginning, or a few less; more than 0 if the first byte is ASCII.
std::size_t ascii_prefix(std::span<const std::uint8_t> bytes) {
  std::size_t at = 0;
  for (; bytes.size() - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    if ((word & kHighBits) != 0) break;
  }
  while (at < bytes.size() && bytes[at] < 0x80) ++at;
  return at;
}

}  // namespace

bool is_ascii(std::span<const std::uint8_t> bytes) {
  return all_blocks(bytes, [](std::span<const std::uint8_t> block) {
    std::uint8_t seen = 0;
    for (const std::uint8_t byte : block) seen |= byte;
    return seen < 0x80;
  });
}

bool has_no_c1_controls(std::span<const std::uint8_t> bytes) {
  return all_blocks(bytes, [](std::span<const std::uint8_t> block) {
    std::uint8_t seen = 0;
    for (const std::uint8_t byte : block) seen |= static_cast<std::uint8_t>((byte & 0xE0) == 0x80);
    return seen == 0;
  });
}

// Encoding Standard, 8.1.1. The bounds of the second byte exclude surrogates, code points beyond U+10FFFF, and
// overlong forms.
Utf8Sequence first_utf8_sequence(std::span<const std::uint8_t> bytes) {
  using Kind = Utf8Sequence::Kind;
  const std::uint8_t lead = bytes[0];
  if (lead < 0x80) return {Kind::complete, 1, lead};
  if (lead < 0xC2 || lead > 0xF4) return {Kind::invalid, 1, 0};
  const std::size_t needed = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::uint8_t lower = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  std::uint8_t upper = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t code_point = lead & (needed == 2 ? 0x1F : needed == 3 ? 0x0F : 0x07);
  for (std::size_t at = 1; at < needed; ++at) {
    if (at == bytes.size()) return {Kind::incomplete, at, 0};
    if (bytes[at] < lower || bytes[at] > upper) return {Kind::invalid, at, 0};
    lower = 0x80;
    upper = 0xBF;
    code_point = code_point << 6 | (bytes[at] & 0x3F);
  }
  return {Kind::complete, needed, code_point};
}

std::size_t incomplete_utf8_tail(std::span<const std::uint8_t> bytes) {
  for (std::size_t length = 1; length <= 3 && length <= bytes.size(); ++length) {
    const std::span<const std::uint8_t> tail = bytes.last(length);
    if ((tail[0] & 0xC0) == 0x80) continue;
    const Utf8Sequence sequence = first_utf8_sequence(tail);
    return sequence.kind == Utf8Sequence::Kind::incomplete && sequence.length == length ? length : 0;
  }
  return 0;
}

bool is_valid_utf8(std::span<const std::uint8_t> bytes) {
  for (std::size_t at = 0; at < bytes.size();) {
    const std::span<const std::uint8_t> rest = bytes.subspan(at);
    if (rest[0] < 0x80) {
      at += ascii_prefix(rest);
      continue;
    }
    const Utf8Sequence sequence = first_utf8_sequence(rest);
    if (sequence.kind != Utf8Sequence::Kind::complete) return false;
    at += sequence.length;
  }
  return true;
}

DecodedUtf8 decode_utf8(std::span<const std::uint8_t> bytes, OnTextError on_error, char16_t* into) {
  const std::uint8_t *at = bytes.data(), *const end = at + bytes.size();
  char16_t* out = into;
  bool is_valid = true;
  const auto is_continuation = [](std::uint8_t byte) { return (byte & 0xC0) == 0x80; };
  while (at < end) {
    if (*at < 0x80) {
      for (std::uint64_t word; end - at >= 8; at += 8, out += 8) {
        std::memcpy(&word, at, sizeof word);
        if ((word & kHighBits) != 0) break;
        for (int i = 0; i < 8; ++i) out[i] = at[i];
      }
      while (at < end && *at < 0x80) *out++ = *at++;
      continue;
    }
    // The common cases are decoded here, the rest by first_utf8_sequence().
    if (*at >= 0xC2 && *at <= 0xDF && end - at >= 2 && is_continuation(at[1])) {
      *out++ = static_cast<char16_t>((at[0] & 0x1F) << 6 | (at[1] & 0x3F));
      at += 2;
      continue;
    }
    if (*at >= 0xE1 && *at <= 0xEF && *at != 0xED && end - at >= 3 && is_continuation(at[1]) &&
        is_continuation(at[2])) {
      *out++ = static_cast<char16_t>((at[0] & 0x0F) << 12 | (at[1] & 0x3F) << 6 | (at[2] & 0x3F));
      at += 3;
      continue;
    }
    const Utf8Sequence sequence = first_utf8_sequence({at, end});
    at += sequence.length;
    if (sequence.kind != Utf8Sequence::Kind::complete) {
      is_valid = false;
      if (on_error == OnTextError::stop) break;
      *out++ = kReplacementCharacter;
    } else if (sequence.code_point >= 0x10000) {
      *out++ = static_cast<char16_t>(0xD7C0 + (sequence.code_point >> 10));
      *out++ = static_cast<char16_t>(0xDC00 | (sequence.code_point & 0x3FF));
    } else {
      *out++ = static_cast<char16_t>(sequence.code_point);
    }
  }
  return {static_cast<std::size_t>(out - into), is_valid};
}

std::size_t utf8_length(std::span<const char16_t> units) {
  std::size_t length = 0;
  for (std::size_t at = 0; at < units.size(); ++at) {
    const char16_t unit = units[at];
    length += 1 + (unit >= 0x80) + (unit >= 0x800);
    // A pair takes four bytes: two fewer than two lone surrogates.
    if (is_lead_surrogate(unit) && at + 1 < units.size() && is_trail_surrogate(units[at + 1])) {
      ++length;
      ++at;
    }
  }
  return length;
}

std::size_t well_formed_prefix(std::span<const char16_t> units) {
  std::size_t at = 0;
  while (at < units.size()) {
    if ((units[at] & 0xF800) != 0xD800) {
      ++at;
    } else if (is_lead_surrogate(units[at]) && at + 1 < units.size() && is_trail_surrogate(units[at + 1])) {
      at += 2;
    } else {
      break;
    }
  }
  return at;
}

void append_utf8(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
  } else {
    if (code_point < 0x10000) {
      put(0xE0 | code_point >> 12);
    } else {
      put(0xF0 | code_point >> 18);
      put(0x80 | (code_point >> 12 & 0x3F));
    }
    put(0x80 | (code_point >> 6 & 0x3F));
  }
  put(0x80 | (code_point & 0x3F));
}

EncodedUtf8 encode_utf8(std::span<const char16_t> units, std::span<std::uint8_t> into, TextPart part) {
  std::size_t at = 0;
  std::uint8_t* out = into.data();
  std::uint8_t* const end = out + into.size();
  const auto continuation = [](char32_t bits) { return static_cast<std::uint8_t>(0x80 | (bits & 0x3F)); };
  while (at < units.size()) {
    const char16_t unit = units[at];
    if (unit < 0x80) {
      if (out == end) break;
      *out++ = static_cast<std::uint8_t>(unit);
      ++at;
      continue;
    }
    if (unit < 0x800) {
      if (end - out < 2) break;
      *out++ = static_cast<std::uint8_t>(0xC0 | unit >> 6);
      *out++ = continuation(unit);
      ++at;
      continue;
    }
    char32_t code_point = unit;
    if (is_lead_surrogate(unit)) {
      if (at + 1 == units.size() && part != TextPart::last) break;
      if (at + 1 < units.size() && is_trail_surrogate(units[at + 1])) {
        if (end - out < 4) break;
        code_point = 0x10000 + ((unit & 0x3FFU) << 10) + (units[at + 1] & 0x3FFU);
        *out++ = static_cast<std::uint8_t>(0xF0 | code_point >> 18);
        *out++ = continuation(code_point >> 12);
        *out++ = continuation(code_point >> 6);
        *out++ = continuation(code_point);
        at += 2;
        continue;
      }
      code_point = kReplacementCharacter;
    } else if (is_trail_surrogate(unit)) {
      code_point = kReplacementCharacter;
    }
    if (end - out < 3) break;
    *out++ = static_cast<std::uint8_t>(0xE0 | code_point >> 12);
    *out++ = continuation(code_point >> 6);
    *out++ = continuation(code_point);
    ++at;
  }
  return {at, static_cast<std::size_t>(out - into.data())};
}

EncodedUtf8 encode_latin1_as_utf8(std::span<const std::uint8_t> units, std::span<std::uint8_t> into) {
  constexpr std::size_t kBlock = 8;
  const std::uint8_t *in = units.data(), *const in_end = in + units.size();
  std::uint8_t *out = into.data(), *const out_end = out + into.size();
  // All blocks but the last, each with room for two bytes of every character and of the next one: the second byte is
  // written for ASCII, too, and overwritten by the next character.
  while (in_end - in > static_cast<std::ptrdiff_t>(kBlock) &&
         out_end - out >= 2 * static_cast<std::ptrdiff_t>(kBlock + 1)) {
    std::uint64_t word;
    std::memcpy(&word, in, sizeof word);
    if ((word & kHighBits) == 0) {
      std::memcpy(out, in, kBlock);
      out += kBlock;
      in += kBlock;
      continue;
    }
    for (std::size_t at = 0; at < kBlock; ++at) {
      const std::uint8_t unit = *in++;
      const std::uint8_t is_long = unit >> 7;
      out[0] = is_long != 0 ? static_cast<std::uint8_t>(0xC0 | unit >> 6) : unit;
      out[1] = static_cast<std::uint8_t>(0x80 | (unit & 0x3F));
      out += 1 + is_long;
    }
  }
  for (; in != in_end; ++in) {
    if (*in < 0x80) {
      if (out == out_end) break;
      *out++ = *in;
    } else {
      if (out_end - out < 2) break;
      *out++ = static_cast<std::uint8_t>(0xC0 | *in >> 6);
      *out++ = static_cast<std::uint8_t>(0x80 | (*in & 0x3F));
    }
  }
  return {static_cast<std::size_t>(in - units.data()), static_cast<std::size_t>(out - into.data())};
}

}  // namespace holdfast
