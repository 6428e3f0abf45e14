// The settings of a module by name: how a value is written, and between which bounds it must be. The command line
// (options.h) and the settings file (settings.h) set the same things in the same words.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <variant>

#include "supervisor/scheduler/module_settings.h"

namespace holdfast::supervisor {

// The bounds of counts that other options have in common with settings.
constexpr std::size_t kMostWorkers = 100'000;
constexpr std::size_t kMostWaitingCalls = 10'000'000;

struct CountKind {
  std::size_t ModuleSettings::*member;
  std::size_t least;
  std::size_t most;
};
struct DurationKind {
  std::chrono::nanoseconds ModuleSettings::*member;
  std::chrono::nanoseconds least;
};
struct SizeKind {
  std::uint64_t ModuleSettings::*member;
  std::uint64_t least;
};

// One of two words.
struct WordKind {
  bool ModuleSettings::*member;
  std::string_view when_false;
  std::string_view when_true;
};

struct SettingKey {
  std::string_view name;  // in the settings file, "queue_limit"
  std::variant<CountKind, DurationKind, SizeKind, WordKind> kind;
  std::string_view flag;     // on the command line, "--queue-limit"; empty: there is none
  std::string_view meaning;  // the flag's help text
};

// All settings, in the order in which help and messages show them.
std::span<const SettingKey> setting_keys();

// Null: there is no such key.
const SettingKey* find_setting_key(std::string_view name);

// "max_instances, concurrency, ..."
std::string setting_key_names();

// Sets `key` from "200ms", "128MB", "strict" or, for a count, "7". The error says what is wrong with `text` and what
// is expected; `settings` is then unchanged.
tl::expected<void, std::string> set_from_text(const SettingKey& key, std::string_view text, ModuleSettings& settings);

// Sets a count from a number. The error says what is wrong with `number` and what is expected; `settings` is then
// unchanged.
tl::expected<void, std::string> set_count(const CountKind& kind, std::int64_t number, ModuleSettings& settings);

// The value as people write it: "7", "200ms", "128MB", "strict".
std::string setting_text(const SettingKey& key, const ModuleSettings& settings);

// The values that the setting takes: "1 to 1000", "at least 16MB", "strict, lenient". Empty: every value of its form.
std::string setting_bounds(const SettingKey& key);

// The least duration as messages say it: "at least 200ms", or "more than 0" for a nanosecond.
std::string least_text(std::chrono::nanoseconds least);

void copy_setting(const SettingKey& key, const ModuleSettings& from, ModuleSettings& to);

}  // namespace holdfast::supervisor
