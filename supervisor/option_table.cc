#include "supervisor/option_table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "ipc/base/units.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using MustBe = PathOption::MustBe;

tl::expected<void, std::string> add_module_file(const std::string& text, Options& options) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size()) {
    return tl::unexpected(fmt::format("\"{}\": expected MODULE@VERSION=FILE", text));
  }
  auto name = ipc::parse_module_name(std::string_view(text).substr(0, equals));
  if (!name) return tl::unexpected(name.error());
  options.module_files.emplace_back(std::move(*name), text.substr(equals + 1));
  return {};
}

tl::expected<void, std::string> add_code_from_strings(const std::string& text, Options& options) {
  return options.code_from_strings.add(text);
}

tl::expected<void, std::string> add_loader(const std::string& text, Options& options) {
  return options.loaders.add(text);
}

tl::expected<void, std::string> add_log_reader(const std::string& text, Options& options) {
  return options.log_readers.add(text);
}

using Count = CountOption<std::size_t>;
using OptionalCount = CountOption<std::optional<std::size_t>>;
using Size = SizeOption<std::uint64_t>;
using OptionalSize = SizeOption<std::optional<std::uint64_t>>;

constexpr std::size_t kMostStandby = 10'000;
constexpr std::size_t kMostClients = 1'000'000;

constexpr OptionRow kBeforeSettings[] = {
    {"-V,--version", "", VersionOption{}, "print the version and exit"},
    {"-h,--help", "", HelpOption{}, "print this help and exit"},
    {"--socket", "PATH", TextOption{&Options::socket}, "the Unix socket to listen on (or HOLDFAST_SOCKET)",
     "depends on the user"},
    {"--socket-mode", "MODE", ModeOption{&Options::socket_mode},
     "permissions of the socket file, in octal: they decide which users may connect"},
    {"--modules", "DIR", PathOption{&Options::modules, MustBe::directory},
     "directory of the modules: files named MODULE-VERSION.js (.mjs, .cjs)"},
    {"--module", "NAME=FILE", ListOption{add_module_file}, "a single module: MODULE@VERSION=FILE; may be repeated"},
    {"--max-workers", "N", OptionalCount{&Options::max_workers, 1, kMostWorkers},
     "the most processes that may hold a module at a time", "as many as fit into --memory-budget"},
    {"--memory-budget", "SIZE", OptionalSize{&Options::memory_budget},
     "memory that all modules' processes together may hold; beyond it, processes over their own limits are ended first",
     "half of the available memory; 0B: no limit"},
    {"--standby", "N", Count{&Options::standby, 0, kMostStandby}, "locked-down processes kept ready for cold calls"},
    {"--standby-max", "N", Count{&Options::standby_max, 0, kMostStandby},
     "the most standby processes, when many cold calls come"},
    {"--standby-memory", "SHARE", ShareOption{&Options::standby_memory_share},
     "share of the available memory that standby processes may take"},
    {"--max-clients", "N", OptionalCount{&Options::max_clients, 1, kMostClients},
     "the most clients that may be connected at a time", "as many as the limit of open files allows"},
    // A user may have three quarters of it, and that must be more than the largest frame.
    {"--client-memory", "SIZE", Size{&Options::client_memory_bytes, std::uint64_t{64} << 20},
     "memory that the open calls of all clients may hold; incoming frames and unread answers may each hold as much"},
    {"--client-queue-limit", "N", Count{&Options::client_queue_limit, 1, 1'000'000},
     "calls of one client that may wait; more are refused"},
    {"--total-queue-limit", "N", Count{&Options::total_queue_limit, 1, kMostWaitingCalls},
     "calls that may wait for all modules together; more are refused"},
    {"--config", "FILE", PathOption{&Options::config, MustBe::file},
     "settings file: overrides these flags, for all or for single modules; SIGHUP reloads it"},
};

// Here come the settings of modules that have a flag (setting_keys()).

constexpr OptionRow kAfterSettings[] = {
    {"--max-timeout", "DURATION", DurationOption{&Options::longest_timeout},
     "the longest timeout that a call may ask for; a longer one is cut to this"},
    {"--hold-off", "DURATION", DurationOption{&Options::hold_off},
     "the longest pause of a module that keeps failing (the first is 100ms), and of a client whose calls keep killing "
     "workers; 0s: no pauses"},
    {"--slice", "DURATION", DurationOption{&Options::slice, 1ms},
     "how long a busy module keeps its place while others wait for one"},
    {"--waiting-grace", "DURATION", DurationOption{&Options::waiting_grace, 1ms},
     "how long calls that only wait may keep their module's place after its slice, while others wait for one; ten "
     "times as long for calls that work"},
    {"--busy-poll", "DURATION", DurationOption{&Options::busy_poll, 0ns, 1ms},
     "how long the supervisor busy-polls for the next event before it sleeps, if events come that soon; 0s: it "
     "sleeps at once"},
    {"--clock-resolution", "DURATION", DurationOption{&Options::clock_resolution, 1ns},
     "resolution of every clock that a module can read"},
    {"--allow-eval", "NAME", ListOption{add_code_from_strings},
     "let this module make code from strings (eval, new Function): MODULE, or MODULE@VERSION; may be repeated"},
    {"--allow-loader", "USER", ListOption{add_loader},
     "let this local user register as a loader of module code: a user's name, a uid, or any; may be repeated",
     "no user"},
    {"--allow-logs", "USER", ListOption{add_log_reader},
     "let this local user read what modules log (holdfast logs): a user's name, a uid, or any; may be repeated",
     "root and holdfastd's own user"},
    {"--loader-timeout", "DURATION", DurationOption{&Options::loader_timeout, 1ns},
     "how long a loader may take to answer with a module's code"},
    {"--shutdown-timeout", "DURATION", DurationOption{&Options::shutdown_grace},
     "how long open calls may take to finish after SIGTERM"},
    {"--profile", "jit|strict",
     ChoiceOption<sandbox::Profile>{&Options::profile,
                                    {{{"jit", sandbox::Profile::jit}, {"strict", sandbox::Profile::strict}}}},
     "jit: V8 compiles to machine code; strict: no memory can ever be made executable, so JavaScript is interpreted "
     "and there is no WebAssembly"},
    {"--isolation", "fork|exec",
     ChoiceOption<Isolation>{&Options::isolation, {{{"fork", Isolation::fork}, {"exec", Isolation::exec}}}},
     "fork: workers are forked from a zygote; exec: each worker is started as a program, with an address layout and a "
     "hash seed of its own, but starts more slowly and takes more memory"},
    {"--zygote-forks", "N", Count{&Options::zygote_forks, 1, 1'000'000'000},
     "the zygote is replaced after this many of its workers were given a module"},
    {"--zygote-age", "DURATION", DurationOption{&Options::zygote_age, 1s},
     "the zygote is replaced at this age, if any of its workers was given a module"},
    {"--cpu-limit", "DURATION", DurationOption{&Options::cpu_limit, 2s},
     "CPU time that a worker may use over its whole life; it is replaced when it has used half of it"},
    {"--speculation", "restricted|free",
     ChoiceOption<bool>{&Options::restrict_speculation, {{{"restricted", true}, {"free", false}}}},
     "restricted: while a worker runs, the processor does not speculate past stores and by trained branches, if the "
     "host supports that; free: it may"},
    {"--direct-line", "", FlagOption{&Options::direct_line},
     "give a client that asks for it a socket straight to its module's worker: calls take half the time or less, but "
     "the client reads what an untrusted process sends"},
    {"--allow-missing", "LAYER", LayersOption{&Options::allow_missing},
     "go on without this layer of the sandbox if it cannot be set up; may be repeated (see holdfast doctor)"},
    {"--log-level", "LEVEL", LevelOption<std::string>{&Options::log_level},
     "the least serious lines to log: debug, info, warning, error or off"},
    {"--module-log-level", "LEVEL", LevelOption<std::optional<std::string>>{&Options::module_log_level},
     "the least serious lines of modules to log", "as --log-level"},
    {"--log-format", "text|json",
     ChoiceOption<LogFormat>{&Options::log_format, {{{"text", LogFormat::text}, {"json", LogFormat::json}}}},
     "text, or json: an object on each line"},
    {"--worker", "PATH", PathOption{&Options::worker_program}, "the holdfast-worker program"},
    {"--ready-fd", "FD", DescriptorOption{&Options::ready_fd},
     "write a newline to this descriptor once clients are accepted, and close it"},
    {"--client-fd", "FD", DescriptorOption{&Options::client_fd},
     "serve only the client that is connected to this descriptor, and end when it leaves"},
    {"--print-policy", "jit|strict|supervisor|closer", PolicyOption{},
     "print the system calls that jit or strict workers, the supervisor or its closer may make, and exit"},
};

// How the help calls the value of a setting.
struct SettingValueName {
  std::string_view operator()(const CountKind&) const { return "N"; }
  std::string_view operator()(const DurationKind&) const { return "DURATION"; }
  std::string_view operator()(const SizeKind&) const { return "SIZE"; }
  std::string_view operator()(const WordKind&) const { return "WORD"; }
};

std::vector<OptionRow> all_rows() {
  std::vector<OptionRow> rows(std::begin(kBeforeSettings), std::end(kBeforeSettings));
  for (const SettingKey& key : setting_keys()) {
    if (key.flag.empty()) continue;
    rows.push_back({key.flag, std::visit(SettingValueName{}, key.kind), SettingOption{&key}, key.meaning});
  }
  rows.insert(rows.end(), std::begin(kAfterSettings), std::end(kAfterSettings));
  return rows;
}

// In the largest unit of which it is a whole number: "1h", "10m", "1500ms".
std::string whole_units(std::chrono::nanoseconds duration) {
  constexpr std::pair<std::chrono::nanoseconds, std::string_view> kUnits[] = {{1h, "h"},   {1min, "m"}, {1s, "s"},
                                                                              {1ms, "ms"}, {1us, "us"}, {1ns, "ns"}};
  if (duration == 0ns) return "0s";
  const auto unit = std::ranges::find_if(kUnits, [&](const auto& u) { return duration % u.first == 0ns; });
  return fmt::format("{}{}", duration / unit->first, unit->second);
}

struct ShownValue {
  const Options& options;

  std::string operator()(const TextOption& option) const { return options.*option.member; }
  std::string operator()(const CountOption<std::size_t>& option) const {
    return fmt::to_string(options.*option.member);
  }
  std::string operator()(const DurationOption& option) const { return whole_units(options.*option.member); }
  std::string operator()(const SizeOption<std::uint64_t>& option) const {
    return ipc::format_size(options.*option.member);
  }
  std::string operator()(const ModeOption& option) const { return fmt::format("{:04o}", options.*option.member); }
  std::string operator()(const ShareOption& option) const { return fmt::format("{:g}%", 100 * options.*option.member); }
  template <typename T>
  std::string operator()(const ChoiceOption<T>& option) const {
    const auto& [first, second] = option.words;
    return std::string(options.*option.member == first.second ? first.first : second.first);
  }
  std::string operator()(const LevelOption<std::string>& option) const { return options.*option.member; }
  std::string operator()(const SettingOption& option) const {
    return setting_text(*option.key, options.module_defaults);
  }
  // Nothing holds without the option, or OptionRow::unset says what, or it depends on where holdfastd is.
  template <typename T>
  std::string operator()(const T&) const {
    return {};
  }
};

struct ShownBounds {
  template <typename T>
  std::string operator()(const CountOption<T>& option) const {
    return fmt::format("{} to {}", option.least, option.most);
  }
  std::string operator()(const DurationOption& option) const {
    // No option has both, so far.
    if (option.most != std::chrono::nanoseconds::max()) return "at most " + ipc::format_duration(option.most);
    return option.least == 0ns ? "" : least_text(option.least);
  }
  template <typename T>
  std::string operator()(const SizeOption<T>& option) const {
    return option.least == 0 ? "" : "at least " + ipc::format_size(option.least);
  }
  std::string operator()(const ModeOption&) const { return "0 to 0777"; }
  std::string operator()(const ShareOption&) const { return "0% to 100%"; }
  template <typename T>
  std::string operator()(const LevelOption<T>&) const {
    return fmt::format("{}", fmt::join(log_levels(), ", "));
  }
  std::string operator()(const SettingOption& option) const { return setting_bounds(*option.key); }
  // OptionRow::value names the words, or the kernel or the file system decides, or the list is elsewhere (layers).
  template <typename T>
  std::string operator()(const T&) const {
    return {};
  }
};

}  // namespace

std::span<const OptionRow> option_table() {
  static const std::vector<OptionRow> rows = all_rows();
  return rows;
}

std::string shown_value(const OptionRow& row, const Options& options) {
  return std::visit(ShownValue{options}, row.kind);
}

std::string shown_bounds(const OptionRow& row) { return std::visit(ShownBounds{}, row.kind); }

std::string help_text(const OptionRow& row) {
  const bool shows_value = std::holds_alternative<TextOption>(row.kind);
  if (row.unset.empty() || shows_value) return std::string(row.meaning);
  return fmt::format("{} (default: {})", row.meaning, row.unset);
}

std::optional<std::string> bounds_problem(const OptionRow& row, const Options& options) {
  const auto* duration = std::get_if<DurationOption>(&row.kind);
  if (duration == nullptr) return std::nullopt;
  const auto value = options.*duration->member;
  if (value < duration->least) return fmt::format("too short; {} is needed", least_text(duration->least));
  if (value > duration->most) {
    return fmt::format("too long; at most {} is allowed", ipc::format_duration(duration->most));
  }
  return std::nullopt;
}

std::vector<std::string> log_levels() { return {"debug", "info", "warning", "error", "off"}; }
std::vector<std::string> policy_names() { return {"jit", "strict", "supervisor", "closer"}; }

}  // namespace holdfast::supervisor
