#include "supervisor/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <limits>
#include <map>
#include <system_error>

#include "ipc/base/closest_word.h"
#include "ipc/socket_path.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
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

// An option whose value `parse` turns into the type of `into`, or into a text that says what is wrong.
template <typename T, typename Parse>
CLI::Option* add(CLI::App& app, const std::string& name, T& into, Parse parse, const std::string& shown_default,
                 const std::string& type, const std::string& description) {
  return app
      .add_option_function<std::string>(
          name,
          [&into, parse, name](const std::string& text) {
            auto value = parse(text);
            if (!value) throw CLI::ValidationError(name, value.error());
            into = *value;
          },
          description)
      ->type_name(type)
      ->default_str(shown_default);
}

tl::expected<mode_t, std::string> parse_mode(const std::string& text) {
  unsigned mode = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  if (error != std::errc{} || end != text.data() + text.size() || mode > 0777) {
    return tl::unexpected(fmt::format("\"{}\" is not a file mode; expected octal digits such as 0660", text));
  }
  return static_cast<mode_t>(mode);
}

tl::expected<std::pair<ModuleName, fs::path>, std::string> parse_module_file(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals + 1 == text.size()) {
    return tl::unexpected(fmt::format("\"{}\": expected MODULE@VERSION=FILE", text));
  }
  auto name = ipc::parse_module_name(std::string_view(text).substr(0, equals));
  if (!name) return tl::unexpected(name.error());
  return std::pair{std::move(*name), fs::path(text.substr(equals + 1))};
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return {[words](const std::string& text) { return ipc::word_problem(text, words); }, ""};
}

std::string shown(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, "|")); }

// An option that takes one of these words, the first by default.
template <typename T>
CLI::Option* add_choice(CLI::App& app, const std::string& name, T& into,
                        const std::vector<std::pair<std::string, T>>& words, const std::string& description) {
  std::vector<std::string> names;
  for (const auto& [word, value] : words) names.push_back(word);
  const auto set = [&into, words](const std::string& text) {
    into = std::ranges::find(words, text, &std::pair<std::string, T>::first)->second;
  };
  return app.add_option_function<std::string>(name, set, description)
      ->type_name(shown(names))
      ->check(one_of(names))
      ->default_str(names.front());
}

// A check without the text that CLI11 would put into the help.
CLI::Validator quiet(CLI::Validator check) { return check.description(""); }

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

// A user may have three quarters of it, and that must be more than the largest frame.
tl::expected<std::uint64_t, std::string> parse_client_memory(const std::string& text) {
  constexpr std::uint64_t kLeast = std::uint64_t{64} << 20;
  auto bytes = ipc::parse_size(text);
  if (bytes && *bytes < kLeast) {
    return tl::unexpected(fmt::format("\"{}\" is too little; at least {} are needed", text, ipc::format_size(kLeast)));
  }
  return bytes;
}

// A flag for each setting of a module that has a flag.
void add_module_settings(CLI::App& app, ModuleSettings& settings) {
  for (const SettingKey& key : setting_keys()) {
    if (key.flag.empty()) continue;
    constexpr const char* kTypes[] = {"N", "DURATION", "SIZE", "WORD"};  // in the order of SettingKey::kind
    static_assert(std::size(kTypes) == std::variant_size_v<decltype(key.kind)>);
    const auto set = [&key, &settings](const std::string& text) {
      if (auto done = set_from_text(key, text, settings); !done) {
        throw CLI::ValidationError(std::string(key.flag), done.error());
      }
    };
    app.add_option_function<std::string>(std::string(key.flag), set, std::string(key.meaning))
        ->type_name(kTypes[key.kind.index()])
        ->default_str(setting_text(key, settings));
  }
}

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
  std::vector<std::string> module_files;
  std::vector<std::string> allow_eval;
  std::vector<std::string> allow_loader;
  std::vector<std::string> allow_logs;

  CLI::App app("Runs untrusted JavaScript functions, each module in a locked-down process of its own.", "holdfastd");
  app.set_version_flag("-V,--version", std::string("holdfastd ") + HOLDFAST_VERSION, "print the version and exit");
  app.set_help_flag("-h,--help", "print this help and exit");
  app.failure_message(failure_message);
  app.get_formatter()->column_width(36);
  const auto duration = [](const std::string& text) { return ipc::parse_duration(text); };
  const CLI::Range is_descriptor(0, std::numeric_limits<int>::max());

  app.add_option("--socket", options.socket, "the Unix socket to listen on (or HOLDFAST_SOCKET)")
      ->type_name("PATH")
      ->capture_default_str();
  add(app, "--socket-mode", options.socket_mode, parse_mode, "0600", "MODE",
      "permissions of the socket file, in octal: they decide which users may connect");
  app.add_option("--modules", options.modules, "directory of the modules: files named MODULE-VERSION.js (.mjs, .cjs)")
      ->type_name("DIR")
      ->check(quiet(CLI::ExistingDirectory));
  app.add_option("--module", module_files, "a single module: MODULE@VERSION=FILE; may be repeated")
      ->type_name("NAME=FILE");
  app.add_option("--max-workers", options.max_workers,
                 "the most processes that may hold a module at a time (default: as many as fit into --memory-budget)")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{1}, std::size_t{100'000})));
  app.add_option_function<std::string>(
         "--memory-budget",
         [&](const std::string& text) {
           const auto size = ipc::parse_size(text);
           if (!size) throw CLI::ValidationError("--memory-budget", size.error());
           options.memory_budget = *size;
         },
         "memory that all modules' processes together may hold; beyond it, processes over their own limits are ended "
         "first (default: half of the available memory; 0B: no limit)")
      ->type_name("SIZE");
  app.add_option("--standby", options.standby, "locked-down processes kept ready for cold calls")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{0}, std::size_t{10'000})))
      ->capture_default_str();
  CLI::Option* const standby_max =
      app.add_option("--standby-max", options.standby_max, "the most standby processes, when many cold calls come")
          ->type_name("N")
          ->check(quiet(CLI::Range(std::size_t{0}, std::size_t{10'000})))
          ->capture_default_str();
  add(app, "--standby-memory", options.standby_memory_share, parse_share, "5%", "SHARE",
      "share of the available memory that standby processes may take");
  app.add_option(
         "--max-clients", options.max_clients,
         "the most clients that may be connected at a time (default: as many as the limit of open files allows)")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{1}, std::size_t{1'000'000})));
  add(app, "--client-memory", options.client_memory_bytes, parse_client_memory, "512MB", "SIZE",
      "memory that the open calls of all clients may hold; incoming frames and unread answers may each hold as much");
  app.add_option("--client-queue-limit", options.client_queue_limit,
                 "calls of one client that may wait; more are refused")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{1}, std::size_t{1'000'000})))
      ->capture_default_str();
  app.add_option("--total-queue-limit", options.total_queue_limit,
                 "calls that may wait for all modules together; more are refused")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{1}, std::size_t{10'000'000})))
      ->capture_default_str();
  app.add_option("--config", options.config,
                 "settings file: overrides these flags, for all or for single modules; SIGHUP reloads it")
      ->type_name("FILE")
      ->check(quiet(CLI::ExistingFile));
  add_module_settings(app, options.module_defaults);
  add(app, "--max-timeout", options.longest_timeout, duration, "1h", "DURATION",
      "the longest timeout that a call may ask for; a longer one is cut to this");
  add(app, "--hold-off", options.hold_off, duration, "30s", "DURATION",
      "the longest pause of a module that keeps failing (the first is 100ms), and of a client whose calls keep killing "
      "workers; 0s: no pauses");
  add(app, "--slice", options.slice, duration, "200ms", "DURATION",
      "how long a busy module keeps its place while others wait for one");
  add(app, "--waiting-grace", options.waiting_grace, duration, "1s", "DURATION",
      "how long calls that only wait may keep their module's place after its slice, while others wait for one; ten "
      "times as long for calls that work");
  add(app, "--busy-poll", options.busy_poll, duration, "50us", "DURATION",
      "how long the supervisor busy-polls for the next event before it sleeps, if events come that soon; 0s: it "
      "sleeps at once");
  add(app, "--clock-resolution", options.clock_resolution, duration, "100us", "DURATION",
      "resolution of every clock that a module can read");
  app.add_option(
         "--allow-eval", allow_eval,
         "let this module make code from strings (eval, new Function): MODULE, or MODULE@VERSION; may be repeated")
      ->type_name("NAME");
  app.add_option("--allow-loader", allow_loader,
                 "let this local user register as a loader of module code: a user's name, a uid, or any; may be "
                 "repeated (default: no user)")
      ->type_name("USER");
  app.add_option("--allow-logs", allow_logs,
                 "let this local user read what modules log (holdfast logs): a user's name, a uid, or any; may be "
                 "repeated (default: root and holdfastd's own user)")
      ->type_name("USER");
  add(app, "--loader-timeout", options.loader_timeout, duration, "5s", "DURATION",
      "how long a loader may take to answer with a module's code");
  add(app, "--shutdown-timeout", options.shutdown_grace, duration, "10s", "DURATION",
      "how long open calls may take to finish after SIGTERM");
  add_choice<sandbox::Profile>(
      app, "--profile", options.profile, {{"jit", sandbox::Profile::jit}, {"strict", sandbox::Profile::strict}},
      "jit: V8 compiles to machine code; strict: no memory can ever be made executable, so JavaScript is interpreted "
      "and there is no WebAssembly");
  add_choice<Isolation>(
      app, "--isolation", options.isolation, {{"fork", Isolation::fork}, {"exec", Isolation::exec}},
      "fork: workers are forked from a zygote; exec: each worker is started as a program, with an address "
      "layout and a hash seed of its own, but starts more slowly and takes more memory");
  app.add_option("--zygote-forks", options.zygote_forks,
                 "the zygote is replaced after this many of its workers were given a module")
      ->type_name("N")
      ->check(quiet(CLI::Range(std::size_t{1}, std::size_t{1'000'000'000})))
      ->capture_default_str();
  add(app, "--zygote-age", options.zygote_age, duration, "10m", "DURATION",
      "the zygote is replaced at this age, if any of its workers was given a module");
  add(app, "--cpu-limit", options.cpu_limit, duration, "1h", "DURATION",
      "CPU time that a worker may use over its whole life; it is replaced when it has used half of it");
  add_choice<bool>(
      app, "--speculation", options.restrict_speculation, {{"restricted", true}, {"free", false}},
      "restricted: while a worker runs, the processor does not speculate past stores and by trained branches, "
      "if the host supports that; free: it may");
  app.add_flag(
      "--direct-line", options.direct_line,
      "give a client that asks for it a socket straight to its module's worker: calls take half the time or less, but "
      "the client reads what an untrusted process sends");
  app.add_option(
         "--allow-missing", options.allow_missing,
         "go on without this layer of the sandbox if it cannot be set up; may be repeated (see holdfast doctor)")
      ->type_name("LAYER")
      ->check(one_of({sandbox::kLayers.begin(), sandbox::kLayers.end()}));
  app.add_option("--log-level", options.log_level, "the least serious lines to log: debug, info, warning, error or off")
      ->type_name("LEVEL")
      ->check(one_of({"debug", "info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_option("--module-log-level", options.module_log_level,
                 "the least serious lines of modules to log (default: as --log-level)")
      ->type_name("LEVEL")
      ->check(one_of({"debug", "info", "warning", "error", "off"}));
  add_choice<LogFormat>(app, "--log-format", options.log_format, {{"text", LogFormat::text}, {"json", LogFormat::json}},
                        "text, or json: an object on each line");
  app.add_option("--worker", options.worker_program, "the holdfast-worker program")->type_name("PATH");
  app.add_option("--ready-fd", options.ready_fd,
                 "write a newline to this descriptor once clients are accepted, and close it")
      ->type_name("FD")
      ->check(quiet(is_descriptor));
  app.add_option("--client-fd", options.client_fd,
                 "serve only the client that is connected to this descriptor, and end when it leaves")
      ->type_name("FD")
      ->check(quiet(is_descriptor));
  app.add_option_function<std::string>(
         "--print-policy",
         [](const std::string& which) {
           const auto rows = which == "supervisor" ? sandbox::supervisor_policy(sandbox::ClientDescriptors::possible)
                             : which == "closer"   ? sandbox::closer_policy()
                                                   : sandbox::policy(which == "strict" ? sandbox::Profile::strict
                                                                                       : sandbox::Profile::jit);
           std::fputs(sandbox::to_markdown(rows).c_str(), stdout);
           throw CLI::Success();
         },
         "print the system calls that jit or strict workers, the supervisor or its closer may make, and exit")
      ->type_name("jit|strict|supervisor|closer")
      ->check(one_of({"jit", "strict", "supervisor", "closer"}));
  app.footer(
      "Durations need a unit: 200ms, 5s, 1m. So do sizes: 128MB, 1GB.\n"
      "SIGTERM or SIGINT: finish open calls, then exit; a second one, or SIGQUIT: exit at once. SIGHUP: reload "
      "--config.\n"
      "Exit status: 0 after a signal, 1 if holdfastd cannot start or go on, 2 for a usage error.");

  try {
    app.parse(argc, argv);
    for (const std::string& text : module_files) {
      auto file = parse_module_file(text);
      if (!file) throw CLI::ValidationError("--module", file.error());
      options.module_files.push_back(std::move(*file));
    }
    for (const std::string& text : allow_eval) {
      if (auto added = options.code_from_strings.add(text); !added) {
        throw CLI::ValidationError("--allow-eval", added.error());
      }
    }
    for (const std::string& text : allow_loader) {
      if (auto added = options.loaders.add(text); !added) throw CLI::ValidationError("--allow-loader", added.error());
    }
    for (const std::string& text : allow_logs) {
      if (auto added = options.log_readers.add(text); !added) throw CLI::ValidationError("--allow-logs", added.error());
    }
    if (options.modules.empty() && options.module_files.empty()) {
      throw CLI::ValidationError("--modules", "no modules given; use --modules DIR, or --module NAME@VERSION=FILE");
    }
    if (options.cpu_limit < std::chrono::seconds(2))
      throw CLI::ValidationError("--cpu-limit", "too short; at least 2s is needed");
    if (options.zygote_age < std::chrono::seconds(1))
      throw CLI::ValidationError("--zygote-age", "too short; at least 1s is needed");
    if (options.clock_resolution.count() <= 0) {
      throw CLI::ValidationError("--clock-resolution", "too short; more than 0 is needed");
    }
    if (options.busy_poll > std::chrono::milliseconds(1))
      throw CLI::ValidationError("--busy-poll", "too long; at most 1ms is allowed");
    if (options.waiting_grace < std::chrono::milliseconds(1)) {
      throw CLI::ValidationError("--waiting-grace", "too short; at least 1ms is needed");
    }
    if (options.slice < std::chrono::milliseconds(1))
      throw CLI::ValidationError("--slice", "too short; at least 1ms is needed");
    if (options.loader_timeout.count() <= 0) {
      throw CLI::ValidationError("--loader-timeout", "too short; more than 0 is needed");
    }
    if (standby_max->count() == 0) options.standby_max = std::max(options.standby_max, options.standby);
    if (options.standby_max < options.standby) {
      throw CLI::ValidationError("--standby-max",
                                 fmt::format("{} is less than --standby, {}", options.standby_max, options.standby));
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return options;
}

}  // namespace holdfast::supervisor
