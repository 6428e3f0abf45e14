#include <cinttypes>
#include <cstdio>

#include "sandbox/policy_rules.h"

namespace holdfast::sandbox {
namespace {

std::string hex(std::uint64_t number) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%" PRIx64, number);
  return text;
}

// Arguments are counted from 1 for readers.
std::string to_words(const ArgumentCondition& condition) {
  const std::string argument = "argument " + std::to_string(condition.argument + 1);
  const bool is_int = condition.mask <= kIntMask;
  const std::uint64_t ignored = ~condition.mask & (is_int ? kIntMask : ~std::uint64_t{0});
  if (ignored == 0) return argument + " is " + hex(condition.value);
  if (condition.value == 0) return argument + " within " + hex(ignored);
  return argument + " is " + hex(condition.value) + ", or that and bits of " + hex(ignored);
}

}  // namespace

std::string to_markdown(std::span<const PolicyRow> rows) {
  std::string text = "| system call | arguments | why |\n| --- | --- | --- |\n";
  for (const PolicyRow& row : rows) {
    std::string rule;
    for (std::size_t i = 0; i < row.rule.condition_count; ++i) {
      rule += (i == 0 ? "" : "; ") + to_words(row.rule.conditions[i]);
    }
    text += std::string("| ") + row.system_call + " | " + (rule.empty() ? "any" : rule) + " | " + row.reason + " |\n";
  }
  return text;
}

}  // namespace holdfast::sandbox
