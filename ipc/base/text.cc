#include "ipc/base/text.h"

#include <fmt/format.h>

#include <algorithm>

namespace holdfast::ipc {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

// The length of the well-formed UTF-8 character that `text` begins with, or 0.
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto in = [&](std::size_t i, unsigned low, unsigned high) {
    return i < text.size() && byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return in(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const bool second = in(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF);
    return second && in(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const bool second = in(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF);
    return second && in(2, 0x80, 0xBF) && in(3, 0x80, 0xBF) ? 4 : 0;
  }
  return 0;
}

}  // namespace

std::string clean_utf8(std::string_view text, std::size_t max_bytes) {
  std::string clean;
  clean.reserve(std::min(text.size(), max_bytes));
  std::size_t cut = 0;  // the last border behind which the ellipsis fits
  while (!text.empty()) {
    if (clean.size() + kEllipsis.size() <= max_bytes) cut = clean.size();
    const std::size_t length = character_length(text);
    const std::string_view piece = length == 0 ? kReplacement : text.substr(0, length);
    if (clean.size() + piece.size() > max_bytes) {
      clean.resize(cut);
      if (cut + kEllipsis.size() <= max_bytes) clean += kEllipsis;
      break;
    }
    clean += piece;
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return clean;
}

bool is_well_formed_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::string printable(std::string_view text, Newlines newlines) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = character_length(text);
    const std::string_view character = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(character.size());
    const auto first = static_cast<unsigned char>(character.front());
    const auto last = static_cast<unsigned char>(character.back());
    const bool kept = first == '\t' || (first == '\n' && newlines == Newlines::keep);
    // C1 controls are U+0080 to U+009F: C2 80 to C2 9F in UTF-8.
    const bool control = first < 0x20 || first == 0x7F || (first == 0xC2 && last < 0xA0);
    if (first == '\n' && !kept) {
      shown += "\\n";
    } else if (length == 0 || (control && !kept)) {
      shown += fmt::format("\\x{:02x}", last);
    } else {
      shown += character;
    }
  }
  return shown;
}

}  // namespace holdfast::ipc
