#include "ipc/base/json.h"

#include <fmt/format.h>

#include <cstddef>
#include <optional>

#include "ipc/base/text.h"

namespace holdfast::ipc {
namespace {

constexpr int kDeepest = 64;

bool is_digit(char character) { return character >= '0' && character <= '9'; }

// Each method removes what it is named for from the beginning of the text; it returns false if the text begins with
// something else.
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : left_(text) {}

  bool object() {
    if (!take('{') || ++depth_ > kDeepest) return false;
    skip_space();
    if (take('}')) return leave();
    while (true) {
      skip_space();
      if (!string()) return false;
      skip_space();
      if (!take(':') || !value()) return false;
      if (take('}')) return leave();
      if (!take(',')) return false;
    }
  }

  void skip_space() {
    while (!left_.empty() && std::string_view(" \t\r\n").find(left_.front()) != std::string_view::npos) advance(1);
  }

  bool is_at_end() const { return left_.empty(); }

 private:
  void advance(std::size_t bytes) { left_.remove_prefix(bytes); }

  bool leave() {
    --depth_;
    return true;
  }

  bool take(char wanted) {
    if (left_.empty() || left_.front() != wanted) return false;
    advance(1);
    return true;
  }

  bool take(std::string_view word) {
    if (!left_.starts_with(word)) return false;
    advance(word.size());
    return true;
  }

  bool value() {
    skip_space();
    if (left_.empty() || !value_of(left_.front())) return false;
    skip_space();
    return true;
  }

  bool value_of(char first) {
    switch (first) {
      case '{':
        return object();
      case '[':
        return array();
      case '"':
        return string();
      case 't':
        return take("true");
      case 'f':
        return take("false");
      case 'n':
        return take("null");
      default:
        return number();
    }
  }

  bool array() {
    if (!take('[') || ++depth_ > kDeepest) return false;
    skip_space();
    if (take(']')) return leave();
    while (value()) {
      if (take(']')) return leave();
      if (!take(',')) return false;
    }
    return false;
  }

  bool digits() {
    const std::size_t before = left_.size();
    while (!left_.empty() && is_digit(left_.front())) advance(1);
    return left_.size() < before;
  }

  bool number() {
    take('-');
    if (!take('0') && !digits()) return false;
    if (take('.') && !digits()) return false;
    if (!take('e') && !take('E')) return true;
    if (!take('-')) take('+');
    return digits();
  }

  // Bytes beyond ASCII were checked before.
  bool string() {
    if (!take('"')) return false;
    while (!left_.empty()) {
      const char next = left_.front();
      if (static_cast<unsigned char>(next) < 0x20) return false;
      advance(1);
      if (next == '"') return true;
      if (next == '\\' && !escape()) return false;
    }
    return false;
  }

  bool escape() {
    if (left_.empty()) return false;
    const char kind = left_.front();
    advance(1);
    if (kind != 'u') return std::string_view("\"\\/bfnrt").find(kind) != std::string_view::npos;
    const auto unit = code_unit();
    if (!unit || (*unit >= 0xDC00 && *unit <= 0xDFFF)) return false;
    if (*unit < 0xD800 || *unit > 0xDBFF) return true;
    if (!take("\\u")) return false;
    const auto low = code_unit();
    return low && *low >= 0xDC00 && *low <= 0xDFFF;
  }

  std::optional<unsigned> code_unit() {
    constexpr std::size_t kDigits = 4;
    if (left_.size() < kDigits) return std::nullopt;
    unsigned unit = 0;
    for (const char digit : left_.substr(0, kDigits)) {
      const char lower = digit >= 'A' && digit <= 'F' ? static_cast<char>(digit - 'A' + 'a') : digit;
      if (!is_digit(lower) && (lower < 'a' || lower > 'f')) return std::nullopt;
      unit = unit * 16 + static_cast<unsigned>(is_digit(lower) ? lower - '0' : lower - 'a' + 10);
    }
    advance(kDigits);
    return unit;
  }

  std::string_view left_;
  int depth_ = 0;
};

}  // namespace

bool is_json_object(std::string_view text) {
  if (!is_well_formed_utf8(text)) return false;
  JsonScanner scanner(text);
  scanner.skip_space();
  if (!scanner.object()) return false;
  scanner.skip_space();
  return scanner.is_at_end();
}

std::string json_string(std::string_view text) {
  std::string json = "\"";
  for (const char character : clean_utf8(text, std::string::npos)) {
    const auto byte = static_cast<unsigned char>(character);
    if (character == '"' || character == '\\') {
      json += '\\';
      json += character;
    } else if (character == '\n') {
      json += "\\n";
    } else if (character == '\t') {
      json += "\\t";
    } else if (byte < 0x20) {
      json += fmt::format("\\u{:04x}", byte);
    } else {
      json += character;
    }
  }
  return json_for_output(json += '"');
}

std::string json_for_output(std::string_view json) {
  std::string output;
  output.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); ++i) {
    const auto byte = static_cast<unsigned char>(json[i]);
    const auto next = i + 1 < json.size() ? static_cast<unsigned char>(json[i + 1]) : 0;
    if (byte == 0x7F) {
      output += "\\u007f";
    } else if (byte == 0xC2 && next < 0xA0) {  // U+0080 to U+009F are C2 80 to C2 9F in UTF-8
      output += fmt::format("\\u{:04x}", next);
      ++i;
    } else {
      output += json[i];
    }
  }
  return output;
}

}  // namespace holdfast::ipc
