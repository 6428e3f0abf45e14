#include "supervisor/options.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <map>
#include <system_error>

#include "ipc/base/closest_word.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/socket_path.h"
#include "sandbox/setup_error.h"
#include "supervisor/option_table.h"
#include "supervisor/settings/setting_keys.h"

namespace holdfast::supervisor {
namespace {

namespace fs = std::filesystem;

// The worker's program. In a build tree it is in a folder beside this program's. When installed, it is where the
// build was told (libexecdir), or in the same place relative to this program if all of the installation was moved.
fs::path find_worker() {
  std::error_code ignored;
  const fs::path here = fs::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const char* candidate : {"../worker/holdfast-worker", "../libexec/holdfast/holdfast-worker"}) {
    if (fs::exists(here / candidate, ignored)) return (here / candidate).lexically_normal();
  }
  return fs::path(HOLDFAST_LIBEXECDIR) / "holdfast-worker";
}

tl::expected<mode_t, std::string> parse_mode(const std::string& text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode > 0777) {
    return tl::unexpected(fmt::format("\"{}\" is not a file mode; expected octal digits such as 0660", text));
  }
  return static_cast<mode_t>(mode);
}

// "5%" is 0.05.
tl::expected<double, std::string> parse_share(const std::string& text) {
  double percent = 0;
  const char* const text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, percent, std::chars_format::fixed);
  if (error != std::errc{} || std::string_view(end, text_end) != "%" || !(percent >= 0 && percent <= 100)) {
    return tl::unexpected(fmt::format("\"{}\" is not a share; expected 0% to 100%, such as 5%", text));
  }
  return percent / 100;
}

template <typename T>
tl::expected<T, std::string> parse_size(const SizeOption<T>& option, const std::string& text) {
  const auto bytes = ipc::parse_size(text);
  if (!bytes) return tl::unexpected(bytes.error());
  if (*bytes < option.least) {
    return tl::unexpected(
        fmt::format("\"{}\" is too little; at least {} are needed", text, ipc::format_size(option.least)));
  }
  return T(*bytes);
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return {[words](const std::string& text) { return ipc::word_problem(text, words); }, ""};
}

// A check without the text that CLI11 would put into the help.
CLI::Validator quiet(CLI::Validator check) { return check.description(""); }

std::span<const sandbox::PolicyRow> policy_of(const std::string& name) {
  if (name == "supervisor") return sandbox::supervisor_policy(sandbox::ClientDescriptors::possible);
  if (name == "closer") return sandbox::closer_policy();
  return sandbox::policy(name == "strict" ? sandbox::Profile::strict : sandbox::Profile::jit);
}

// Adds the rows of the option table to a CLI::App, which sets the options that a command line names.
class TableReader {
 public:
  TableReader(CLI::App& app, Options& options) : app_(app), options_(options) {}

  void add(const OptionRow& row) {
    CLI::Option* const option =
        std::visit([&](const auto& kind) { return add(kind, std::string(row.name), help_text(row)); }, row.kind);
    if (!row.value.empty()) option->type_name(std::string(row.value));
    if (const std::string value = shown_value(row, options_); !value.empty()) option->default_str(value);
  }

  // Call when the command line is read: checks what could not be checked value by value. Throws CLI::ValidationError.
  void finish() {
    for (const OptionRow& row : option_table()) add_list(row);
    if (options_.modules.empty() && options_.module_files.empty()) {
      throw CLI::ValidationError("--modules", "no modules given; use --modules DIR, or --module NAME@VERSION=FILE");
    }
    for (const OptionRow& row : option_table()) {
      if (const auto problem = bounds_problem(row, options_)) {
        throw CLI::ValidationError(std::string(row.name), *problem);
      }
    }
    if (app_.count("--standby-max") == 0) options_.standby_max = std::max(options_.standby_max, options_.standby);
    if (options_.standby_max < options_.standby) {
      throw CLI::ValidationError("--standby-max",
                                 fmt::format("{} is less than --standby, {}", options_.standby_max, options_.standby));
    }
  }

 private:
  // An option whose value `parse` turns into what `into` takes, or into a text that says what is wrong.
  template <typename T, typename Parse>
  CLI::Option* add_parsed(const std::string& name, const std::string& help, T& into, Parse parse) {
    const auto set = [&into, parse, name](const std::string& text) {
      auto value = parse(text);
      if (!value) throw CLI::ValidationError(name, value.error());
      into = *value;
    };
    return app_.add_option_function<std::string>(name, set, help);
  }

  CLI::Option* add(const TextOption& kind, const std::string& name, const std::string& help) {
    return app_.add_option(name, options_.*kind.member, help);
  }
  CLI::Option* add(const PathOption& kind, const std::string& name, const std::string& help) {
    CLI::Option* const option = app_.add_option(name, options_.*kind.member, help);
    if (kind.must_be == PathOption::MustBe::directory) option->check(quiet(CLI::ExistingDirectory));
    if (kind.must_be == PathOption::MustBe::file) option->check(quiet(CLI::ExistingFile));
    return option;
  }
  template <typename T>
  CLI::Option* add(const CountOption<T>& kind, const std::string& name, const std::string& help) {
    return app_.add_option(name, options_.*kind.member, help)->check(quiet(CLI::Range(kind.least, kind.most)));
  }
  CLI::Option* add(const DescriptorOption& kind, const std::string& name, const std::string& help) {
    return app_.add_option(name, options_.*kind.member, help)
        ->check(quiet(CLI::Range(0, std::numeric_limits<int>::max())));
  }
  CLI::Option* add(const DurationOption& kind, const std::string& name, const std::string& help) {
    return add_parsed(name, help, options_.*kind.member, ipc::parse_duration);
  }
  template <typename T>
  CLI::Option* add(const SizeOption<T>& kind, const std::string& name, const std::string& help) {
    return add_parsed(name, help, options_.*kind.member,
                      [kind](const std::string& text) { return parse_size(kind, text); });
  }
  CLI::Option* add(const ModeOption& kind, const std::string& name, const std::string& help) {
    return add_parsed(name, help, options_.*kind.member, parse_mode);
  }
  CLI::Option* add(const ShareOption& kind, const std::string& name, const std::string& help) {
    return add_parsed(name, help, options_.*kind.member, parse_share);
  }
  template <typename T>
  CLI::Option* add(const ChoiceOption<T>& kind, const std::string& name, const std::string& help) {
    const auto& [first, second] = kind.words;
    const auto set = [this, kind](const std::string& text) {
      options_.*kind.member = kind.words[text == kind.words[0].first ? 0 : 1].second;
    };
    return app_.add_option_function<std::string>(name, set, help)
        ->check(one_of({std::string(first.first), std::string(second.first)}));
  }
  template <typename T>
  CLI::Option* add(const LevelOption<T>& kind, const std::string& name, const std::string& help) {
    return app_.add_option(name, options_.*kind.member, help)->check(one_of(log_levels()));
  }
  CLI::Option* add(const LayersOption& kind, const std::string& name, const std::string& help) {
    return app_.add_option(name, options_.*kind.member, help)
        ->check(one_of({sandbox::kLayers.begin(), sandbox::kLayers.end()}));
  }
  CLI::Option* add(const FlagOption& kind, const std::string& name, const std::string& help) {
    return app_.add_flag(name, options_.*kind.member, help);
  }
  CLI::Option* add(const ListOption&, const std::string& name, const std::string& help) {
    return app_.add_option(name, lists_[name], help);
  }
  CLI::Option* add(const SettingOption& kind, const std::string& name, const std::string& help) {
    const auto set = [this, key = kind.key, name](const std::string& text) {
      if (auto done = set_from_text(*key, text, options_.module_defaults); !done) {
        throw CLI::ValidationError(name, done.error());
      }
    };
    return app_.add_option_function<std::string>(name, set, help);
  }
  CLI::Option* add(const VersionOption&, const std::string& name, const std::string& help) {
    return app_.set_version_flag(name, std::string("holdfastd ") + HOLDFAST_VERSION, help);
  }
  CLI::Option* add(const HelpOption&, const std::string& name, const std::string& help) {
    return app_.set_help_flag(name, help);
  }
  CLI::Option* add(const PolicyOption&, const std::string& name, const std::string& help) {
    const auto print = [](const std::string& which) {
      std::fputs(sandbox::to_markdown(policy_of(which)).c_str(), stdout);
      throw CLI::Success();
    };
    return app_.add_option_function<std::string>(name, print, help)->check(one_of(policy_names()));
  }

  void add_list(const OptionRow& row) {
    const auto* kind = std::get_if<ListOption>(&row.kind);
    if (kind == nullptr) return;
    for (const std::string& text : lists_[std::string(row.name)]) {
      if (const auto added = kind->add(text, options_); !added) {
        throw CLI::ValidationError(std::string(row.name), added.error());
      }
    }
  }

  CLI::App& app_;
  Options& options_;
  std::map<std::string, std::vector<std::string>> lists_;  // the values of each ListOption, by its name
};

std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const auto unknown = app->remaining();
  std::string what = error.what();
  if (!unknown.empty()) {
    const std::string word = unknown.front().substr(0, unknown.front().find('='));
    what = word.starts_with("-") ? fmt::format("there is no option \"{}\"", word)
                                 : fmt::format("unexpected argument \"{}\": holdfastd takes options only", word);
    std::vector<std::string> known;
    for (const CLI::Option* option : app->get_options()) {
      for (const auto& name : option->get_lnames()) known.push_back("--" + name);
    }
    if (const auto meant = ipc::closest_word(word, known); !meant.empty()) {
      what += fmt::format("; did you mean {}?", meant);
    }
  }
  constexpr std::size_t kMaxBytes = 4096;
  return fmt::format("error: {}\n`holdfastd --help` tells more.\n", ipc::shown(what, kMaxBytes));
}

}  // namespace

std::variant<Options, int> parse_options(int argc, char** argv) {
  Options options;
  options.socket = ipc::default_socket_path();
  options.worker_program = find_worker();

  CLI::App app("Runs untrusted JavaScript functions, each module in a locked-down process of its own.", "holdfastd");
  app.failure_message(failure_message);
  app.get_formatter()->column_width(36);
  TableReader reader(app, options);
  for (const OptionRow& row : option_table()) reader.add(row);
  app.footer(
      "Durations need a unit: 200ms, 5s, 1m. So do sizes: 128MB, 1GB.\n"
      "SIGTERM or SIGINT: finish open calls, then exit; a second one, or SIGQUIT: exit at once. SIGHUP: reload "
      "--config.\n"
      "Exit status: 0 after a signal, 1 if holdfastd cannot start or go on, 2 for a usage error.");

  try {
    app.parse(argc, argv);
    reader.finish();
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return options;
}

}  // namespace holdfast::supervisor
