#include "tools/cli/start_failure.h"

#include <algorithm>
#include <array>

#include "ipc/base/text.h"

namespace holdfast::cli {
namespace {

constexpr std::size_t kMaxReasonBytes = std::size_t{16} << 10;

// The names that --allow-missing takes.
constexpr std::array<std::string_view, 10> kLayers = {"namespaces", "root",      "privileges",  "descriptors",
                                                      "process",    "limits",    "speculation", "code",
                                                      "seccomp",    "supervisor"};

// Prefixes that may precede a layer's name, in this order.
constexpr std::array<std::string_view, 2> kPrefixes = {"cannot start workers: ", "a worker cannot be locked down: "};

std::string_view without_prefixes(std::string_view reason) {
  for (const std::string_view prefix : kPrefixes) {
    if (reason.starts_with(prefix)) reason.remove_prefix(prefix.size());
  }
  return reason;
}

// The text of a line "TIME critical TEXT"; empty if the line has another form.
std::string_view critical_text(std::string_view line) {
  constexpr std::string_view kLevel = "critical ";
  const std::size_t space = line.find(' ');
  if (space == line.npos || line.find('T') > space || !line.substr(space + 1).starts_with(kLevel)) return {};
  return line.substr(space + 1 + kLevel.size());
}

}  // namespace

std::string reason_of_failed_start(std::string_view errors) {
  const std::string clean = ipc::clean_utf8(errors, kMaxReasonBytes);
  std::string critical, all;
  for (std::string_view left = clean; !left.empty();) {
    const std::size_t end = std::min(left.find('\n'), left.size());
    std::string_view line = left.substr(0, end);
    left.remove_prefix(std::min(end + 1, left.size()));
    if (const auto text = critical_text(line); !text.empty()) critical = text;
    if (line.empty() || line.find("--help") != line.npos) continue;
    constexpr std::string_view kError = "error: ";
    if (line.starts_with(kError)) line.remove_prefix(kError.size());
    all.append(all.empty() ? "" : "\n").append(line);
  }
  return ipc::printable(critical.empty() ? all : critical, ipc::Newlines::keep);
}

std::string layer_of_failed_start(std::string_view reason) {
  const std::string_view rest = without_prefixes(reason);
  const std::string_view name = rest.substr(0, rest.find(':'));
  return std::ranges::find(kLayers, name) == kLayers.end() ? "" : std::string(name);
}

std::string_view message_on_layer(std::string_view reason) {
  const std::string_view rest = without_prefixes(reason);
  const std::size_t colon = rest.find(": ");
  return colon == rest.npos ? rest : rest.substr(colon + 2);
}

}  // namespace holdfast::cli
