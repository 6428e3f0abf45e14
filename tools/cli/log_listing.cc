#include "tools/cli/log_listing.h"

#include <fmt/format.h>

#include "ipc/base/text.h"
#include "ipc/log_text.h"

namespace holdfast::cli {
namespace {

std::string indented_lines(const std::string& text) {
  std::string result;
  for (const char c : ipc::printable(text, ipc::Newlines::keep)) {
    result += c;
    if (c == '\n') result += "    ";
  }
  return result;
}

}  // namespace

std::string log_as_text(const ipc::LogRecord& record) {
  std::string origin;
  if (!record.module.empty()) origin += " " + record.module;
  if (!record.version.empty()) origin += "@" + record.version;
  if (!record.request_id.empty()) origin += " " + record.request_id;
  return fmt::format("{} {}{}: {}\n", ipc::utc_time(record.time), to_string(record.level),
                     ipc::printable(origin, ipc::Newlines::escape), indented_lines(record.text));
}

std::string log_of_call(const ipc::LogRecord& record) {
  return fmt::format("[{}] {}\n", to_string(record.level), indented_lines(record.text));
}

std::string log_as_json(const ipc::LogRecord& record) { return ipc::as_json(record) + "\n"; }

}  // namespace holdfast::cli
