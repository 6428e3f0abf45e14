#include "tools/cli/json_text.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "ipc/text.h"

namespace holdfast::cli {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kMaxProblemBytes = 300;

// nlohmann_json insists that surrogates in \u escapes come in pairs. The copy has U+FFFD's escape in the place of each
// surrogate's, so that all positions stay what they were.
std::string with_surrogates_replaced(std::string_view text) {
  std::string copy(text);
  for (std::size_t i = 0; i + 1 < copy.size(); ++i) {
    if (copy[i] != '\\') continue;
    ++i;  // whatever is escaped, a backslash too, does not begin an escape itself
    const bool surrogate = copy[i] == 'u' && i + 2 < copy.size() && (copy[i + 1] == 'd' || copy[i + 1] == 'D') &&
                           std::string_view("89abcdefABCDEF").find(copy[i + 2]) != std::string_view::npos;
    if (surrogate && i + 4 < copy.size() && std::isxdigit(static_cast<unsigned char>(copy[i + 3])) != 0 &&
        std::isxdigit(static_cast<unsigned char>(copy[i + 4])) != 0) {
      copy.replace(i + 1, 4, "fffd");
    }
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
  // Two things that the library lets pass: it skips a byte order mark, and takes a NUL for the end of the text.
  if (text.starts_with(kByteOrderMark)) return "line 1, column 1: a byte order mark, which JSON does not have";
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    return position(text, nul) + ": a NUL character";
  }
  if (nlohmann::json::accept(text)) return std::nullopt;
  const std::string copy = with_surrogates_replaced(text);
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

std::string to_output(const nlohmann::ordered_json& document) {
  return json_for_output(document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace holdfast::cli
