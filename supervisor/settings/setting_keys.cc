#include "supervisor/settings/setting_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <system_error>

#include "ipc/base/text.h"
#include "ipc/base/units.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;

// With less, V8 does not get as far as running a module.
constexpr std::uint64_t kLeastMemory = std::uint64_t{16} << 20;

constexpr SettingKey kKeys[] = {
    {"max_instances", CountKind{&ModuleSettings::max_instances, 1, kMostWorkers}, "--max-instances",
     "the most processes that may serve one module at a time; with 1, all its calls share one process"},
    {"concurrency", CountKind{&ModuleSettings::concurrency, 1, 10'000}, "--concurrency",
     "calls that may be in flight on one process"},
    {"queue_limit", CountKind{&ModuleSettings::queue_limit, 1, kMostWaitingCalls}, "--queue-limit",
     "calls that may wait for one module; more are refused"},
    {"timeout", DurationKind{&ModuleSettings::timeout, 1ns}, "--timeout",
     "time limit of a call that sets none, waiting included"},
    {"stretch", DurationKind{&ModuleSettings::stretch, 1ms}, "--stretch",
     "the longest that JavaScript may run without a break"},
    {"memory", SizeKind{&ModuleSettings::memory_bytes, kLeastMemory}, "--memory", "memory that a module may use"},
    {"idle_timeout", DurationKind{&ModuleSettings::idle_timeout, 0ns}, "--idle-timeout",
     "a module's process is removed after this long without a call"},
    // A call that has ended ten workers will end the next.
    {"max_retries", CountKind{&ModuleSettings::max_retries, 0, 10}, "--max-retries",
     "how often an idempotent call is run again after its process died through no fault of the call"},
    {"results", WordKind{&ModuleSettings::lenient_results, "strict", "lenient"}, "--results",
     "\"strict\" refuses results that JSON would change, like NaN or a Map; \"lenient\" sends what JSON.stringify "
     "gives"},
    {"log_rate", SizeKind{&ModuleSettings::log_rate_bytes, 0}, "--log-rate",
     "how much a module may log in a second; the rest is dropped, and the log says so"},
    {"log_burst", SizeKind{&ModuleSettings::log_burst_bytes, 0}, "--log-burst", "how much a module may log at once"},
    {"min_warm", CountKind{&ModuleSettings::min_warm, 0, kMostWorkers}, "", ""},
    {"weight", CountKind{&ModuleSettings::weight, 1, 1000}, "", ""},
};

tl::expected<void, std::string> out_of_range(const CountKind& kind, std::string_view text) {
  return tl::unexpected(
      fmt::format("{} is not possible; expected a whole number from {} to {}", text, kind.least, kind.most));
}

struct TextSetter {
  std::string_view text;
  ModuleSettings& settings;

  tl::expected<void, std::string> operator()(const CountKind& kind) const {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size())
      return out_of_range(kind, fmt::format("\"{}\"", text));
    return set_count(kind, number, settings);
  }
  tl::expected<void, std::string> operator()(const DurationKind& kind) const {
    const auto duration = ipc::parse_duration(text);
    if (!duration) return tl::unexpected(duration.error());
    if (*duration < kind.least) {
      return tl::unexpected(fmt::format("\"{}\" is too short; {} is needed", text, least_text(kind.least)));
    }
    settings.*kind.member = *duration;
    return {};
  }
  tl::expected<void, std::string> operator()(const SizeKind& kind) const {
    const auto size = ipc::parse_size(text);
    if (!size) return tl::unexpected(size.error());
    if (*size < kind.least) {
      return tl::unexpected(
          fmt::format("\"{}\" is too little; at least {} are needed", text, ipc::format_size(kind.least)));
    }
    settings.*kind.member = *size;
    return {};
  }
  tl::expected<void, std::string> operator()(const WordKind& kind) const {
    if (text != kind.when_true && text != kind.when_false) {
      return tl::unexpected(
          fmt::format("\"{}\" is not known; expected \"{}\" or \"{}\"", text, kind.when_false, kind.when_true));
    }
    settings.*kind.member = text == kind.when_true;
    return {};
  }
};

}  // namespace

std::span<const SettingKey> setting_keys() { return kKeys; }

const SettingKey* find_setting_key(std::string_view name) {
  const auto found = std::ranges::find(kKeys, name, &SettingKey::name);
  return found == std::end(kKeys) ? nullptr : found;
}

std::string setting_key_names() {
  std::string names;
  for (const SettingKey& key : kKeys) names.append(names.empty() ? "" : ", ").append(key.name);
  return names;
}

tl::expected<void, std::string> set_from_text(const SettingKey& key, std::string_view text, ModuleSettings& settings) {
  const std::string clean = ipc::clean_utf8(text, ipc::kMaxShownBytes);
  return std::visit(TextSetter{clean, settings}, key.kind);
}

tl::expected<void, std::string> set_count(const CountKind& kind, std::int64_t number, ModuleSettings& settings) {
  if (number < 0 || static_cast<std::size_t>(number) < kind.least || static_cast<std::size_t>(number) > kind.most) {
    return out_of_range(kind, fmt::to_string(number));
  }
  settings.*kind.member = static_cast<std::size_t>(number);
  return {};
}

std::string setting_text(const SettingKey& key, const ModuleSettings& settings) {
  if (const auto* count = std::get_if<CountKind>(&key.kind)) return fmt::to_string(settings.*count->member);
  if (const auto* size = std::get_if<SizeKind>(&key.kind)) return ipc::format_size(settings.*size->member);
  if (const auto* word = std::get_if<WordKind>(&key.kind)) {
    return std::string(settings.*word->member ? word->when_true : word->when_false);
  }
  return ipc::format_duration(settings.*std::get<DurationKind>(key.kind).member);
}

std::string setting_bounds(const SettingKey& key) {
  if (const auto* count = std::get_if<CountKind>(&key.kind)) return fmt::format("{} to {}", count->least, count->most);
  if (const auto* size = std::get_if<SizeKind>(&key.kind)) {
    return size->least == 0 ? "" : "at least " + ipc::format_size(size->least);
  }
  if (const auto* word = std::get_if<WordKind>(&key.kind)) {
    return fmt::format("{}, {}", word->when_false, word->when_true);
  }
  const auto least = std::get<DurationKind>(key.kind).least;
  return least == 0ns ? "" : least_text(least);
}

std::string least_text(std::chrono::nanoseconds least) {
  return least == 1ns ? "more than 0" : "at least " + ipc::format_duration(least);
}

void copy_setting(const SettingKey& key, const ModuleSettings& from, ModuleSettings& to) {
  std::visit([&](const auto& kind) { to.*kind.member = from.*kind.member; }, key.kind);
}

}  // namespace holdfast::supervisor
