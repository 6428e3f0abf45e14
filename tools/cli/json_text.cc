#include "tools/cli/json_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ipc/base/json.h"
#include "ipc/base/text.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kMaxProblemBytes = 300;

// nlohmann_json rejects lone surrogates in \u escapes. The copy has the escape of U+FFFD instead of each surrogate's,
// so that all positions stay the same.
std::string with_surrogates_replaced(std::string_view text) {
  std::string copy(text);
  for (std::size_t i = 0; i + 1 < copy.size(); ++i) {
    if (copy[i] != '\\') continue;
    ++i;  // an escaped character, such as a backslash, does not begin an escape itself
    const bool surrogate = copy[i] == 'u' && i + 2 < copy.size() && (copy[i + 1] == 'd' || copy[i + 1] == 'D') &&
                           std::string_view("89abcdefABCDEF").find(copy[i + 2]) != std::string_view::npos;
    if (surrogate && i + 4 < copy.size() && std::isxdigit(static_cast<unsigned char>(copy[i + 3])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(copy[i + 4])) != 0) {
      copy.replace(i + 1, 4, "fffd");
    }
  }
  return copy;
}

std::size_t end_of_digits(std::string_view text, std::size_t at) {
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  return at;
}

// The offsets of a number of RFC 8259.
struct Number {
  std::size_t integer;   // the first digit
  std::size_t fraction;  // the end of the integer
  std::size_t exponent;  // its first digit; the number's end if there is none
  std::size_t end;
};
std::optional<Number> number_at(std::string_view text, std::size_t begin) {
  Number number{};
  number.integer = begin + (text[begin] == '-' ? 1 : 0);
  number.fraction = number.end = end_of_digits(text, number.integer);
  if (number.end == number.integer || (text[number.integer] == '0' && number.end > number.integer + 1)) return {};
  if (number.end < text.size() && text[number.end] == '.') {
    number.end = end_of_digits(text, number.fraction + 1);
    if (number.end == number.fraction + 1) return std::nullopt;
  }
  number.exponent = number.end;
  if (number.end < text.size() && (text[number.end] == 'e' || text[number.end] == 'E')) {
    const bool has_sign = number.end + 1 < text.size() && (text[number.end + 1] == '+' || text[number.end + 1] == '-');
    number.exponent += has_sign ? 2 : 1;
    number.end = end_of_digits(text, number.exponent);
    if (number.end == number.exponent) return std::nullopt;
  }
  return number;
}

// nlohmann_json refuses numbers beyond the range of a double. They are valid JSON, which JSON.parse reads as
// Infinity. The copy has a small number of the same length instead of each number: "1.0045e000" for "123.45e400".
std::string with_small_numbers(std::string_view text) {
  std::string copy(text);
  bool in_string = false;
  for (std::size_t i = 0; i < copy.size(); ++i) {
    const char byte = copy[i];
    if (byte == '"') in_string = !in_string;
    if (in_string && byte == '\\') ++i;  // an escaped character does not end the string
    if (in_string || (byte != '-' && (byte < '0' || byte > '9'))) continue;
    const auto number = number_at(text, i);
    if (!number) {
      i = std::max(end_of_digits(text, i), i + 1) - 1;
      continue;
    }
    if (number->fraction > number->integer + 2) {
      const bool has_fraction = number->fraction < number->end && text[number->fraction] == '.';
      copy.replace(number->integer + 1, 1, ".");
      const std::size_t zeros = number->fraction + (has_fraction ? 1 : 0) - (number->integer + 2);
      copy.replace(number->integer + 2, zeros, zeros, '0');
    }
    copy.replace(number->exponent, number->end - number->exponent, number->end - number->exponent, '0');
    i = number->end - 1;
  }
  return copy;
}

std::string position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const std::size_t line_start = before.rfind('\n') == std::string_view::npos ? 0 : before.rfind('\n') + 1;
  return fmt::format("line {}, column {}", std::ranges::count(before, '\n') + 1, offset - line_start + 1);
}

}  // namespace

std::optional<std::string> json_problem(std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos) return "it is empty";
  // The library accepts two things that are not JSON: it skips a byte order mark, and takes a NUL for the end of the
  // text.
  if (text.starts_with(kByteOrderMark)) return "line 1, column 1: a byte order mark, which JSON does not have";
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return position(text, nul) + ": a NUL character";
  }
  if (nlohmann::json::accept(text)) return std::nullopt;
  const std::string copy = with_small_numbers(with_surrogates_replaced(text));
  if (nlohmann::json::accept(copy)) return std::nullopt;
  try {
    [[maybe_unused]] const auto parsed = nlohmann::json::parse(copy);
  } catch (const nlohmann::json::exception& exception) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while parsing …"
    std::string_view what = exception.what();
    if (const std::size_t end = what.find("] "); what.starts_with('[') && end != std::string_view::npos) {
      what.remove_prefix(end + 2);
    }
    constexpr std::string_view kPrefix = "parse error at ";
    if (what.starts_with(kPrefix)) what.remove_prefix(kPrefix.size());
    return ipc::printable(ipc::clean_utf8(what, kMaxProblemBytes), ipc::Newlines::escape);
  }
  return "it cannot be parsed";
}

bool is_json_array(std::string_view json) {
  const std::size_t first = json.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && json[first] == '[';
}

std::string to_output(const nlohmann::ordered_json& document) {
  return ipc::json_for_output(document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace holdfast::cli
