// The settings file: what an operator sets for single modules, and the defaults for all of them, as TOML
// (https://toml.io/en/v1.0.0).
//
//   [defaults]                        # each module, where the file says nothing more exact; before the flags
//   timeout = "5s"
//   [module.calculator]               # each version of it
//   max_instances = 4
//   [module."calculator@v1.0.0"]      # this version
//   min_warm = 2
//   env = { REGION = "eu" }           # what it reads as process.env
//
// Pure: text goes in, a value or what is wrong with the text comes out.
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

#include "ipc/module_name.h"
#include "supervisor/environment.h"
#include "supervisor/module_settings.h"

namespace holdfast::supervisor {

using ipc::ModuleName;

class Settings {
 public:
  // A larger file is none.
  static constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  // That are told of one file.
  static constexpr std::size_t kMaxErrors = 20;

  // Without a file: the flags alone.
  explicit Settings(const ModuleSettings& flags = {}) : defaults_(flags) {}

  // Errors are in the order of the file's lines, each one printable line: "FILE:LINE: KEY: what was found; what was
  // expected". A file with an error sets nothing. Where its syntax is wrong, only the first place is told.
  using Errors = std::vector<std::string>;
  static tl::expected<Settings, Errors> parse(std::string_view text, const std::string& file,
                                              const ModuleSettings& flags);

  // The more exact table wins, key by key: flags < [defaults] < [module.NAME] < [module."NAME@VERSION"].
  ModuleSettings of(const ModuleName& name) const;

  // The variables of all its tables, the more exact one's values where several set one.
  Environment environment_of(const ModuleName& name) const;

  // The modules of which some workers are kept at all times, by name.
  std::vector<std::pair<ModuleName, ModuleSettings>> warm() const;

  // Nothing if all min_warm together leave a worker of a pool of `max_workers` to other modules.
  std::optional<std::string> problem_with_pool(std::size_t max_workers) const;

  // The most memory that any module may have.
  std::uint64_t largest_memory() const;

  // The modules, and versions of modules, that have a table.
  std::size_t table_count() const { return modules_.size() + versions_.size(); }

  bool operator==(const Settings&) const = default;

 private:
  class Reader;
  // What a table sets.
  struct Differences {
    static constexpr std::size_t kMaxKeys = 16;
    ModuleSettings values;
    std::bitset<kMaxKeys> set;  // by the place in setting_keys()
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
