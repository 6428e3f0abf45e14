// The settings file: what an operator sets for single modules, and the defaults for all of them, as TOML
// (https://toml.io/en/v1.0.0).
//
//   [defaults]                        # all modules; wins over the flags
//   timeout = "5s"
//   [module.calculator]               # all versions of this module; wins over [defaults]
//   max_instances = 4
//   [module."calculator@v1.0.0"]      # this version; wins over [module.calculator]
//   min_warm = 2
//   env = { REGION = "eu" }           # the module reads this as process.env
//
// Pure: text goes in; settings, or what is wrong with the text, come out.
#pragma once

#include <bitset>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "ipc/base/module_name.h"
#include "supervisor/scheduler/module_settings.h"
#include "supervisor/settings/environment.h"

namespace holdfast::supervisor {

using ipc::ModuleName;

class Settings {
 public:
  // A larger file is refused.
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  // Of one file's errors, at most this many are reported.
  static constexpr std::size_t kMaxErrors = 20;

  // Without a file: the flags alone.
  explicit Settings(const ModuleSettings& flags = {}) : defaults_(flags) {}

  // Errors are in the order of the file's lines, each one printable line: "FILE:LINE: KEY: what was found; what was
  // expected". A file with an error sets nothing. Of syntax errors, only the first is reported.
  using Errors = std::vector<std::string>;
  static tl::expected<Settings, Errors> parse(std::string_view text, const std::string& file,
                                              const ModuleSettings& flags);

  // The settings of one version. The more exact table wins, key by key: flags < [defaults] < [module.NAME] <
  // [module."NAME@VERSION"].
  ModuleSettings of(const ModuleName& name) const;

  // The environment of one version: the variables of all its tables. Where several tables set a variable, the more
  // exact one wins.
  Environment environment_of(const ModuleName& name) const;

  // The versions of which some workers are kept loaded at all times (min_warm), sorted by name.
  std::vector<std::pair<ModuleName, ModuleSettings>> warm() const;

  // What is wrong if all min_warm together leave no worker of a pool of `max_workers` to other modules; nothing if
  // they leave one.
  std::optional<std::string> problem_with_pool(std::size_t max_workers) const;

  // The largest memory limit of any module, in bytes.
  std::uint64_t largest_memory() const;

  // How many modules, and versions of modules, have a table.
  std::size_t table_count() const { return modules_.size() + versions_.size(); }

  bool operator==(const Settings&) const = default;

 private:
  class Reader;
  // What a table sets.
  struct Differences {
    static constexpr std::size_t kMaxKeys = 16;
    ModuleSettings values;
    std::bitset<kMaxKeys> set;  // indexed as setting_keys()
    Environment environment;
    void apply_to(ModuleSettings& settings) const;
    bool operator==(const Differences&) const = default;
  };

  std::string file_;
  ModuleSettings defaults_;
  Environment default_environment_;
  std::map<std::string, Differences, std::less<>> modules_;
  std::map<ModuleName, Differences> versions_;
};

}  // namespace holdfast::supervisor
