#include "supervisor/settings/settings.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>

#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/base/variable_name.h"
#include "supervisor/settings/setting_keys.h"

namespace holdfast::supervisor {
namespace {

using ipc::shown;

// toml++ recurses once for each part of a dotted key, without a limit of its own, and the stack ends at some 30,000
// parts. Of values inside one another it takes 256.
constexpr std::ptrdiff_t kMaxDotsOfLine = 32;

constexpr std::string_view kTables = "[defaults], [module.NAME] or [module.\"NAME@VERSION\"]";

constexpr std::string_view kEnvironmentKey = "env";

// With the article, for a text behind "is".
std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "a boolean";
    default:
      return "a date or time";
  }
}

std::string_view expected_type(const SettingKey& key) {
  if (std::holds_alternative<CountKind>(key.kind)) return "a whole number without quotes";
  if (std::holds_alternative<SizeKind>(key.kind)) return "a string with a unit, such as \"128MB\"";
  if (std::holds_alternative<WordKind>(key.kind)) return "a string";
  return "a string with a unit, such as \"200ms\" or \"5s\"";
}

// The number of the first such line; 0: there is none.
std::size_t line_with_too_many_dots(std::string_view text) {
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    if (std::ranges::count(line, '.') > kMaxDotsOfLine) return number;
    text.remove_prefix(std::min(line.size() + 1, text.size()));
  }
  return 0;
}

std::string line_of(std::string_view text, std::size_t number) {
  for (; number > 1; --number) text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

// One reading of one file.
class Settings::Reader {
 public:
  Reader(std::string_view text, const std::string& file, const ModuleSettings& flags) : text_(text), settings_(flags) {
    settings_.file_ = file;
  }

  tl::expected<Settings, Errors> read() {
    read_text();
    if (errors_.empty()) return std::move(settings_);
    // The parser gives tables sorted by name, not by line.
    std::ranges::stable_sort(errors_, {}, [](const Error& error) { return error.line; });
    Errors texts;
    for (const Error& error : errors_) {
      if (texts.size() == kMaxErrors) {
        texts.push_back(fmt::format("{}: and {} more error{}", shown(settings_.file_), errors_.size() - kMaxErrors,
                                    errors_.size() - kMaxErrors == 1 ? "" : "s"));
        break;
      }
      texts.push_back(error.line == 0 ? fmt::format("{}: {}", shown(settings_.file_), error.message)
                                      : fmt::format("{}:{}: {}", shown(settings_.file_), error.line, error.message));
    }
    return tl::unexpected(std::move(texts));
  }

 private:
  struct Error {
    std::size_t line;  // 0: the whole file
    std::string message;
  };

  void fail(std::size_t line, std::string message) { errors_.push_back({line, std::move(message)}); }

  void read_text() {
    if (text_.size() > kMaxBytes) {
      return fail(0, fmt::format("it has {}; at most {} are allowed", ipc::format_size(text_.size()),
                                 ipc::format_size(kMaxBytes)));
    }
    if (const std::size_t line = line_with_too_many_dots(text_)) {
      return fail(line, fmt::format("the line has more than {} dots", kMaxDotsOfLine));
    }
    try {
      read_root(toml::parse(text_));
    } catch (const toml::parse_error& error) {
      const std::size_t line = error.source().begin.line;
      const std::string where = line_of(text_, line);
      const bool may_lack_quotes = where.find("[module.") != std::string::npos &&
                                   where.find('@') != std::string::npos && where.find('"') == std::string::npos;
      fail(line, shown(error.description()) +
                     (may_lack_quotes ? "; a name with a version is quoted: [module.\"NAME@VERSION\"]" : ""));
    }
  }

  void read_root(const toml::table& root) {
    for (const auto& [key, node] : root) {
      const toml::table* table = node.as_table();
      const bool known = key.str() == "defaults" || key.str() == "module";
      if (known && table == nullptr) {
        fail(line(key), fmt::format("{}: is {}; expected {}", key.str(), type_name(node), kTables));
      } else if (key.str() == "defaults") {
        read_defaults(*table);
      } else if (key.str() == "module") {
        for (const auto& [name, module] : *table) read_module(name, module);
      } else if (find_setting_key(key.str()) != nullptr) {
        fail(line(key), fmt::format("{}: is outside of a table; expected {} before it", key.str(), kTables));
      } else {
        fail(line(key),
             fmt::format("{}: unknown {}; expected {}", shown(key.str()), table == nullptr ? "key" : "table", kTables));
      }
    }
    check_warm();
    check_environments();
  }

  void read_defaults(const toml::table& table) {
    Differences differences = read_table(table, "defaults", false);
    differences.apply_to(settings_.defaults_);
    settings_.default_environment_ = std::move(differences.environment);
    note_environment(table, "defaults", {});
  }

  void read_module(const toml::key& key, const toml::node& node) {
    const std::string name(key.str());
    const bool is_version = name.find('@') != std::string::npos;
    const bool is_bare = !is_version && name.find('.') == std::string::npos && !ipc::name_problem(name, "");
    const std::string where = is_bare ? "module." + name : fmt::format("module.\"{}\"", shown(name));
    const auto version = ipc::parse_module_name(name);
    if (is_version && !version) return fail(line(key), fmt::format("{}: {}", where, version.error()));
    if (!is_version) {
      if (const auto problem = ipc::name_problem(name, "module's name")) {
        return fail(line(key), fmt::format("{}: {}; expected {}", where, *problem, kTables));
      }
    }
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      const bool misplaced = find_setting_key(name) != nullptr;
      return fail(line(key), fmt::format("{}: is {}; expected {}", where, type_name(node),
                                         misplaced ? "the name of a module: " + std::string(kTables) : "a table"));
    }
    Differences differences = read_table(*table, where, is_version);
    note_environment(*table, where, is_version ? *version : ModuleName{name, ""});
    if (is_version) {
      settings_.versions_[*version] = std::move(differences);
      if (const toml::node* warm = table->get("min_warm"))
        warm_.push_back({*version, where, warm->source().begin.line});
    } else {
      settings_.modules_[name] = std::move(differences);
    }
  }

  Differences read_table(const toml::table& table, const std::string& where, bool is_version) {
    Differences differences;
    for (const auto& [name, node] : table) {
      const SettingKey* key = find_setting_key(name.str());
      const std::string path = fmt::format("{}.{}", where, shown(name.str()));
      if (name.str() == kEnvironmentKey) {
        read_environment(name, node, path, differences.environment);
        continue;
      }
      if (key == nullptr) {
        fail(line(name),
             node.is_table()
                 ? fmt::format("{}: unknown table; a name with a dot or a version is quoted: [module.\"NAME@VERSION\"]",
                               path)
                 : fmt::format("{}: unknown key; expected one of {}, {}", path, setting_key_names(), kEnvironmentKey));
        continue;
      }
      if (key->name == "min_warm" && !is_version) {
        fail(line(name),
             fmt::format("{}: only a version can be kept loaded; expected it in [module.\"NAME@VERSION\"]", path));
        continue;
      }
      if (const auto set = read_value(*key, node, differences.values); !set) {
        fail(line(name), fmt::format("{}: {}", path, shown(set.error())));
        max_instances_are_known_ = max_instances_are_known_ && key->name != "max_instances";
        continue;
      }
      differences.set.set(static_cast<std::size_t>(key - setting_keys().data()));
    }
    return differences;
  }

  void read_environment(const toml::key& key, const toml::node& node, const std::string& path,
                        Environment& environment) {
    const toml::table* table = node.as_table();
    if (table == nullptr) {
      return fail(line(key),
                  fmt::format("{}: is {}; expected a table such as {{ NAME = \"value\" }}", path, type_name(node)));
    }
    for (const auto& [name, value] : *table) {
      const std::string variable = fmt::format("{}.{}", path, shown(name.str()));
      if (const auto problem = ipc::variable_name_problem(name.str())) {
        fail(line(name), fmt::format("{}: {}", variable, *problem));
      } else if (!value.is_string()) {
        fail(line(name), fmt::format("{}: is {}; expected a string", variable, type_name(value)));
      } else if (value.as_string()->get().find('\0') != std::string::npos) {
        fail(line(name), fmt::format("{}: has a NUL character; expected none", variable));
      } else {
        environment.emplace(name.str(), value.as_string()->get());
      }
    }
  }

  void note_environment(const toml::table& table, const std::string& where, ModuleName name) {
    if (const toml::node* node = table.get(kEnvironmentKey)) {
      environments_.push_back({std::move(name), where, node->source().begin.line});
    }
  }

  // Checked when all tables are known, because their environments add up.
  void check_environments() {
    for (const Place& place : environments_) {
      const std::size_t bytes = size_bytes(settings_.environment_of(place.name));
      if (bytes <= kMostEnvironmentBytes) continue;
      fail(place.line,
           fmt::format("{}.{}: names and values have {} together, including those of less exact tables; at most "
                       "{} are allowed",
                       place.where, kEnvironmentKey, ipc::format_size(bytes), ipc::format_size(kMostEnvironmentBytes)));
    }
  }

  static tl::expected<void, std::string> read_value(const SettingKey& key, const toml::node& node,
                                                    ModuleSettings& values) {
    const auto* count = std::get_if<CountKind>(&key.kind);
    if (count != nullptr && node.is_integer()) return set_count(*count, node.as_integer()->get(), values);
    if (count == nullptr && node.is_string()) return set_from_text(key, node.as_string()->get(), values);
    // The value shows best what was meant.
    const std::string value = node.is_integer()  ? fmt::format(", {}", node.as_integer()->get())
                              : node.is_string() ? fmt::format(", \"{}\"", node.as_string()->get())
                                                 : "";
    return tl::unexpected(fmt::format("is {}{}; expected {}", type_name(node), value, expected_type(key)));
  }

  // Checked when all tables are known, because max_instances may be set in another table.
  void check_warm() {
    if (!max_instances_are_known_) return;
    for (const Place& warm : warm_) {
      const ModuleSettings settings = settings_.of(warm.name);
      if (settings.min_warm <= settings.max_instances) continue;
      fail(warm.line, fmt::format("{}.min_warm: {} is more than its max_instances, {}", warm.where, settings.min_warm,
                                  settings.max_instances));
    }
  }

  static std::size_t line(const toml::key& key) { return key.source().begin.line; }

  // The place of a key in the file.
  struct Place {
    ModuleName name;
    std::string where;
    std::size_t line;
  };

  const std::string_view text_;
  Settings settings_;
  std::vector<Error> errors_;
  std::vector<Place> warm_, environments_;
  bool max_instances_are_known_ = true;
};

tl::expected<Settings, Settings::Errors> Settings::parse(std::string_view text, const std::string& file,
                                                         const ModuleSettings& flags) {
  return Reader(text, file, flags).read();
}

void Settings::Differences::apply_to(ModuleSettings& settings) const {
  const auto keys = setting_keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (set[i]) copy_setting(keys[i], values, settings);
  }
}

ModuleSettings Settings::of(const ModuleName& name) const {
  ModuleSettings settings = defaults_;
  if (const auto module = modules_.find(name.module); module != modules_.end()) module->second.apply_to(settings);
  if (const auto version = versions_.find(name); version != versions_.end()) version->second.apply_to(settings);
  return settings;
}

Environment Settings::environment_of(const ModuleName& name) const {
  Environment environment;
  const auto add = [&](const Environment& more) {
    for (const auto& [variable, value] : more) environment.insert_or_assign(variable, value);
  };
  add(default_environment_);
  if (const auto module = modules_.find(name.module); module != modules_.end()) add(module->second.environment);
  if (const auto version = versions_.find(name); version != versions_.end()) add(version->second.environment);
  return environment;
}

std::vector<std::pair<ModuleName, ModuleSettings>> Settings::warm() const {
  std::vector<std::pair<ModuleName, ModuleSettings>> warm;
  for (const auto& [name, differences] : versions_) {
    ModuleSettings settings = of(name);
    if (settings.min_warm > 0) warm.emplace_back(name, settings);
  }
  return warm;
}

std::uint64_t Settings::largest_memory() const {
  std::uint64_t largest = defaults_.memory_bytes;
  for (const auto& [module, ignored] : modules_) largest = std::max(largest, of({module, ""}).memory_bytes);
  for (const auto& [name, ignored] : versions_) largest = std::max(largest, of(name).memory_bytes);
  return largest;
}

std::optional<std::string> Settings::problem_with_pool(std::size_t max_workers) const {
  std::size_t workers = 0;
  for (const auto& [name, settings] : warm()) workers += settings.min_warm;
  if (workers == 0 || workers < max_workers) return std::nullopt;
  return fmt::format(
      "{}: min_warm: the total of all modules is {}; expected less than --max-workers, {}, which leaves a worker to "
      "other modules",
      shown(file_), workers, max_workers);
}

}  // namespace holdfast::supervisor
