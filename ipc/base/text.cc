#include "ipc/base/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "ipc/base/utf.h"

namespace holdfast::ipc {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::string_view kEllipsis = "\xE2\x80\xA6";     // U+2026

// The length of the well-formed UTF-8 character that `text`, which is not empty, begins with; 0 if there is none.
std::size_t character_length(std::string_view text) {
  const auto first = first_utf8_sequence({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  return first.kind == Utf8Sequence::Kind::complete ? first.length : 0;
}

}  // namespace

std::string clean_utf8(std::string_view text, std::size_t max_bytes) {
  std::string clean;
  clean.reserve(std::min(text.size(), max_bytes));
  std::size_t cut = 0;  // the last character boundary after which the ellipsis fits
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
  return is_valid_utf8({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
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

std::string shown(std::string_view text, std::size_t max_bytes) {
  return printable(clean_utf8(text, max_bytes), Newlines::escape);
}

}  // namespace holdfast::ipc
