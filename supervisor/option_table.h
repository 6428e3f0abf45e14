// holdfastd's options as a table. The table says how each option is written, which values it takes, what its help text
// is, and which member of Options it sets. The command line (options.h), --help and the tables in docs/operating.md
// come from it or are compared with it. The value that holds without an option is that of its member in Options{}.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <variant>
#include <vector>

#include "supervisor/options.h"
#include "supervisor/settings/setting_keys.h"

namespace holdfast::supervisor {

// --- kinds of options ----------------------------------------------------------------------------------------------
//
// `T` is the type of the member: of the value, or std::optional of it. Bounds are inclusive.

struct TextOption {
  std::string Options::*member;
};

struct PathOption {
  enum class MustBe { anything, directory, file };
  std::filesystem::path Options::*member;
  MustBe must_be = MustBe::anything;
};

template <typename T>
struct CountOption {
  T Options::*member;
  std::size_t least;
  std::size_t most;
};

struct DescriptorOption {
  std::optional<int> Options::*member;
};

struct DurationOption {
  std::chrono::nanoseconds Options::*member;
  std::chrono::nanoseconds least = std::chrono::nanoseconds::zero();
  std::chrono::nanoseconds most = std::chrono::nanoseconds::max();
};

template <typename T>
struct SizeOption {
  T Options::*member;
  std::uint64_t least = 0;  // bytes
};

// A file mode, in octal.
struct ModeOption {
  mode_t Options::*member;
};

// A share in percent; the member is 0.05 for "5%".
struct ShareOption {
  double Options::*member;
};

// One of two words, each of which stands for a value.
template <typename T>
struct ChoiceOption {
  T Options::*member;
  std::array<std::pair<std::string_view, T>, 2> words;
};

// One of log_levels().
template <typename T>
struct LevelOption {
  T Options::*member;
};

// Layers of the sandbox (sandbox::kLayers). May be repeated.
struct LayersOption {
  std::vector<std::string> Options::*member;
};

// Takes no value; sets its member to true.
struct FlagOption {
  bool Options::*member;
};

// May be repeated. `add` gets each value, and fails with a text that says what is wrong with the value.
struct ListOption {
  tl::expected<void, std::string> (*add)(const std::string& value, Options& options);
};

// Sets a member of Options::module_defaults.
struct SettingOption {
  const SettingKey* key;
};

// Options that print something and end the program.
struct VersionOption {};
struct HelpOption {};
struct PolicyOption {};  // prints the policy of one of policy_names()

// --- the table -----------------------------------------------------------------------------------------------------

struct OptionRow {
  std::string_view name;   // "--socket"; with a short name "-h,--help"
  std::string_view value;  // how the help calls the value: "PATH"; empty: the option takes none
  std::variant<TextOption, PathOption, CountOption<std::size_t>, CountOption<std::optional<std::size_t>>,
               DescriptorOption, DurationOption, SizeOption<std::uint64_t>, SizeOption<std::optional<std::uint64_t>>,
               ModeOption, ShareOption, ChoiceOption<sandbox::Profile>, ChoiceOption<Isolation>,
               ChoiceOption<LogFormat>, ChoiceOption<bool>, LevelOption<std::string>,
               LevelOption<std::optional<std::string>>, LayersOption, FlagOption, ListOption, SettingOption,
               VersionOption, HelpOption, PolicyOption>
      kind;
  std::string_view meaning;
  // What holds without the option, where that is not one value: "half of the available memory".
  std::string_view unset = {};
};

// All options, in the order in which the help shows them.
std::span<const OptionRow> option_table();

// The option's value in `options` as users write it: "1h", "512MB", "0600", "jit". Empty: the help shows no value.
std::string shown_value(const OptionRow& row, const Options& options);

// The values that the option takes: "1 to 1000", "at least 1ms", "strict, lenient". Empty: every value of its form, or
// one of the words in `value`.
std::string shown_bounds(const OptionRow& row);

// The help text, with what holds without the option if that is not one value.
std::string help_text(const OptionRow& row);

// What is wrong with the option's value in `options`: "too short; at least 1ms is needed". Only durations can be out of
// bounds; values of other kinds are refused when they are read.
std::optional<std::string> bounds_problem(const OptionRow& row, const Options& options);

std::vector<std::string> log_levels();
std::vector<std::string> policy_names();

}  // namespace holdfast::supervisor
