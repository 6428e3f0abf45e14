#include "tools/cli/command_line.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <optional>

#include "ipc/base/closest_word.h"
#include "ipc/base/module_name.h"
#include "ipc/base/text.h"
#include "ipc/base/units.h"
#include "ipc/base/variable_name.h"
#include "ipc/socket_path.h"
#include "tools/cli/exit_code.h"
#include "tools/cli/help.h"

namespace holdfast::cli {
namespace {

CLI::Validator valid_duration() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_duration(text);
            if (!parsed) return parsed.error();
            return parsed->count() > 0 ? std::string() : fmt::format("\"{}\" is too short; expected more than 0", text);
          },
          ""};
}

CLI::Validator valid_wait() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_duration(text);
            return parsed ? std::string() : parsed.error();
          },
          ""};
}

CLI::Validator valid_size() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_size(text);
            if (!parsed) return parsed.error();
            return *parsed > 0 ? std::string() : fmt::format("\"{}\" is too small; expected more than 0", text);
          },
          ""};
}

CLI::Validator one_of(const std::vector<std::string>& words) {
  return {[words](const std::string& text) { return ipc::word_problem(text, words); }, ""};
}

CLI::Validator valid_target() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_module_name(text);
            return parsed ? std::string() : parsed.error();
          },
          ""};
}

// Adds --json, which selects the format.
void add_json(CLI::App& command, Format& format, const char* what) {
  command.add_flag_callback(
      "--json", [&format] { format = Format::json; }, what);
}

// Adds an option that takes one of these words.
template <typename Value>
void add_choice(CLI::App& command, const char* name, Value& value, const std::map<std::string, Value>& words,
                const char* what) {
  std::vector<std::string> known;
  for (const auto& [word, meaning] : words) known.push_back(word);
  command
      .add_option_function<std::string>(
          name, [&value, words](const std::string& text) { value = words.at(text); }, what)
      ->check(one_of(known))
      ->type_name(fmt::format("{}", fmt::join(known, "|")));
}

void add_call(CLI::App& command, CallOptions& call) {
  command.add_option("FUNC", call.function, "the exported function to call; without it, the default export")
      ->type_name("");
  auto* payload = command
                      .add_option("PAYLOAD", call.payload,
                                  "the function's argument as JSON; - reads standard input; without it, null")
                      ->type_name("");
  add_choice(
      command, "--encoding", call.encoding,
      {{"json", ipc::Encoding::json}, {"bytes", ipc::Encoding::bytes}, {"structured", ipc::Encoding::structured}},
      "encoding of PAYLOAD: json, bytes (a Uint8Array), or structured");
  add_choice(command, "--result-encoding", call.result_encoding,
             {{"auto", ipc::ResultEncoding::automatic},
              {"json", ipc::ResultEncoding::json},
              {"bytes", ipc::ResultEncoding::bytes},
              {"structured", ipc::ResultEncoding::structured}},
             "encoding of the result; auto: bytes for an ArrayBuffer or a view of one, structured for a structured "
             "PAYLOAD, else json");
  command.add_option("--args", call.arguments, "positional arguments as a JSON array, instead of PAYLOAD")
      ->type_name("JSON")
      ->excludes(payload);
  command
      .add_option_function<std::string>(
          "--timeout", [&call](const std::string& text) { call.timeout = *ipc::parse_duration(text); },
          "how long the call may take, such as 500ms or 5s; without it, the supervisor's default")
      ->check(valid_duration())
      ->type_name("DURATION");
  command.add_flag("--usage", call.show_usage, "print the call's time, CPU time and memory on standard error");
  add_json(command, call.format, "print one JSON object with the result or error and the usage");
}

// Adds a flag that is passed on to holdfastd.
CLI::Option* add_word(CLI::App& command, const char* name, std::string& into, const std::vector<std::string>& words,
                      const char* what) {
  return command.add_option(name, into, what)
      ->check(one_of(words))
      ->type_name(fmt::format("{}", fmt::join(words, "|")))
      ->capture_default_str();
}

// Adds the flags that say how holdfastd isolates its workers.
std::array<CLI::Option*, 3> add_kinds(CLI::App& command, std::string& profile, std::string& isolation,
                                      std::string& speculation) {
  constexpr const char* kWhat = "passed on to holdfastd for private supervisors";
  return {add_word(command, "--profile", profile, {"jit", "strict"}, kWhat),
          add_word(command, "--isolation", isolation, {"fork", "exec"}, kWhat),
          add_word(command, "--speculation", speculation, {"restricted", "free"}, kWhat)};
}

struct Variable {
  std::string name;
  std::optional<std::string> value;
};

// Parses KEY=VALUE, or KEY, which takes the value from this program's own environment.
Variable variable_of(const std::string& text) {
  const std::size_t end = text.find('=');
  Variable variable{.name = text.substr(0, end), .value = {}};
  if (end != std::string::npos) {
    variable.value = text.substr(end + 1);
  } else if (const char* inherited = std::getenv(text.c_str())) {
    variable.value = inherited;
  }
  return variable;
}

CLI::Validator valid_variable() {
  return {[](std::string& text) {
            const auto [name, value] = variable_of(text);
            if (const auto problem = ipc::variable_name_problem(name)) return *problem;
            if (!value) return fmt::format("the variable {} is not set here; set it or give {}=VALUE", name, name);
            const bool is_utf8 = ipc::clean_utf8(*value, value->size()) == *value;
            return is_utf8 ? std::string() : fmt::format("the value of {} is not UTF-8", name);
          },
          ""};
}

void add_supervisor(CLI::App& command, SupervisorAddress& supervisor) {
  command.add_option("--socket", supervisor.socket, "the supervisor's socket; HOLDFAST_SOCKET sets the default")
      ->type_name("PATH")
      ->capture_default_str();
  command
      .add_option_function<std::string>(
          "--wait", [&supervisor](const std::string& text) { supervisor.wait = *ipc::parse_duration(text); },
          "how long to wait for a supervisor to listen there")
      ->check(valid_wait())
      ->type_name("DURATION")
      ->default_str(ipc::format_duration(kDefaultWait));
}

CLI::App* add_run(CLI::App& app, RunOptions& options) {
  CLI::App* run =
      app.add_subcommand("run", "call a function of a JavaScript file; needs no daemon, leaves nothing behind");
  run->add_option("FILE", options.file, "the module's file")->required()->type_name("");
  add_call(*run, options.call);
  run->add_option("--memory", options.memory, "the module's memory limit, such as 64MB")
      ->check(valid_size())
      ->type_name("SIZE");
  run->add_option("--stretch", options.stretch,
                  "how long one uninterrupted stretch of JavaScript may run, such as 50ms")
      ->check(valid_duration())
      ->type_name("DURATION");
  add_word(*run, "--profile", options.profile, {"jit", "strict"},
           "jit: V8 compiles JavaScript; strict: it only interprets it, without WebAssembly");
  add_word(*run, "--results", options.results, {"strict", "lenient"},
           "strict: a result that JSON would change is an error; lenient: JSON.stringify changes it");
  run->add_option_function<std::vector<std::string>>(
         "-e,--env",
         [&options](const std::vector<std::string>& all) {
           for (const auto& text : all) {
             const auto [name, value] = variable_of(text);
             options.environment[name] = value.value();
           }
         },
         "a variable of context.env; without VALUE, copied from this environment; may be repeated")
      ->check(valid_variable())
      ->type_name("KEY[=VALUE]")
      ->allow_extra_args(false);
  run->add_flag("--allow-eval", options.allow_eval, "let the module make code from strings (eval, new Function)");
  run->footer(fmt::format("{}\n\n{}", kRunHelp, kExitCodes));
  return run;
}

CLI::App* add_invoke(CLI::App& app, InvokeOptions& options) {
  CLI::App* invoke = app.add_subcommand("invoke", "call a function through a running holdfastd");
  invoke
      ->add_option_function<std::string>(
          "MODULE@VERSION", [&options](const std::string& text) { options.target = *ipc::parse_module_name(text); },
          "the module, such as calculator@v1.0.0")
      ->required()
      ->check(valid_target())
      ->type_name("");
  add_call(*invoke, options.call);
  invoke->add_flag("--idempotent", options.call.idempotent,
                   "running the call twice does no harm: run it again if its worker dies through no fault of it");
  invoke->add_flag("--logs", options.call.show_logs,
                   "print what the module logs in this call on standard error, as it comes");
  add_supervisor(*invoke, options.supervisor);
  invoke->footer(fmt::format("{}\n\n{}", kInvokeHelp, kExitCodes));
  return invoke;
}

CLI::App* add_ps(CLI::App& app, PsOptions& options) {
  CLI::App* ps = app.add_subcommand("ps", "list the worker processes of a running holdfastd");
  add_supervisor(*ps, options.supervisor);
  add_json(*ps, options.format, "print a JSON array");
  ps->footer(kPsHelp);
  return ps;
}

CLI::Validator valid_filter() {
  return {[](std::string& text) {
            if (text.find('@') == std::string::npos) return ipc::name_problem(text, "module").value_or("");
            const auto parsed = ipc::parse_module_name(text);
            return parsed ? std::string() : parsed.error();
          },
          ""};
}

void add_filter(CLI::App& command, ModuleFilter& filter) {
  command
      .add_option_function<std::string>(
          "MODULE[@VERSION]",
          [&filter](const std::string& text) {
            filter.module = text.substr(0, text.find('@'));
            if (const auto name = ipc::parse_module_name(text)) filter.version = name->version;
          },
          "only this module; without VERSION, all of its versions")
      ->check(valid_filter())
      ->type_name("");
}

CLI::App* add_logs(CLI::App& app, LogsOptions& options) {
  CLI::App* logs = app.add_subcommand("logs", "show what the modules of a running holdfastd log");
  add_filter(*logs, options.filter);
  logs->add_flag("-f,--follow", options.follow, "print later lines as they come, until interrupted");
  logs->add_option("-n,--lines", options.lines, "how many of the latest lines to print")
      ->check(CLI::Range(0U, 1'000'000U).description(""))
      ->type_name("N")
      ->capture_default_str();
  add_supervisor(*logs, options.supervisor);
  add_json(*logs, options.format, "print a JSON object on each line");
  logs->footer(kLogsHelp);
  return logs;
}

CLI::App* add_stats(CLI::App& app, StatsOptions& options) {
  CLI::App* stats = app.add_subcommand("stats", "show the resource usage of modules of a running holdfastd");
  add_filter(*stats, options.filter);
  add_supervisor(*stats, options.supervisor);
  add_json(*stats, options.format, "print one JSON object with all counts; durations in seconds, sizes in bytes");
  stats->footer(kStatsHelp);
  return stats;
}

CLI::App* add_load(CLI::App& app, LoadOptions& options) {
  CLI::App* load =
      app.add_subcommand("load", "supply a running holdfastd with the modules of a folder, until interrupted");
  load->add_option("DIR", options.folder, "the folder, with files MODULE-VERSION.js (.mjs, .cjs)")
      ->required()
      ->type_name("");
  load->add_option_function<std::string>(
          "--timeout", [&options](const std::string& text) { options.timeout = *ipc::parse_duration(text); },
          "how long the supervisor may wait for a module's file; without it, the supervisor's default")
      ->check(valid_duration())
      ->type_name("DURATION");
  load->add_flag("-v,--verbose", options.verbose, "print each module that is asked for on standard error");
  add_supervisor(*load, options.supervisor);
  load->footer(kLoadHelp);
  return load;
}

void add_bench_amounts(CLI::App& bench, BenchOptions& options) {
  bench
      .add_option_function<std::string>(
          "--suite", [&options](const std::string& text) { options.suites = *parse_suites(text); },
          "the suites to run, separated by commas, or all; without it, hot,cold,rates")
      ->check(CLI::Validator(
          [](std::string& text) {
            const auto parsed = parse_suites(text);
            return parsed ? std::string() : parsed.error();
          },
          ""))
      ->type_name("NAMES");
  const auto add_number = [&bench](const char* name, unsigned& value, unsigned most, const char* what) {
    bench.add_option(name, value, what)
        ->check(CLI::Range(1U, most).description(""))
        ->type_name("N")
        ->capture_default_str();
  };
  add_number("--calls", options.calls, 100'000'000, "hot calls of each kind, in all rounds together");
  add_number("--rounds", options.rounds, 10'000, "rounds in which hot calls and the floors alternate");
  add_number("--cold-calls", options.cold_calls, 500,
             "cold calls of each kind; a third as many for each size of module");
  add_number("--workers", options.workers, 1000, "the most workers alive at once");
  bench.add_option("--seconds", options.seconds, "duration of each measurement under load, in seconds")
      ->check(CLI::Range(0.01, 3600.0).description(""))
      ->type_name("S")
      ->capture_default_str();
  bench.add_option("--bundle", options.bundle, "a CommonJS file that the suite modules also measures")
      ->check(CLI::ExistingFile.description(""))
      ->type_name("FILE");
  bench.add_option("--fork-call", options.fork_call, "the program that measures the floor of a fork with V8")
      ->check(CLI::ExistingFile.description(""))
      ->type_name("PATH");
  bench.add_option("--figures", options.figures, "also write the output of --json into this file")->type_name("FILE");
  bench.add_option("--plots", options.plots, "write the curves as SVG files into this folder")->type_name("DIR");
}

CLI::App* add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* bench = app.add_subcommand("bench", "measure how fast calls are on this machine");
  add_bench_amounts(*bench, options);
  auto* socket =
      bench->add_option("--socket", options.socket, "measure this running supervisor (suites hot, rates, clients)")
          ->type_name("PATH");
  auto* target =
      bench
          ->add_option_function<std::string>(
              "--target", [&options](const std::string& text) { options.target = *ipc::parse_module_name(text); },
              "a module of that supervisor whose add({a, b}) is called")
          ->check(valid_target())
          ->type_name("MODULE@VERSION");
  socket->needs(target);
  target->needs(socket);
  for (CLI::Option* option : add_kinds(*bench, options.profile, options.isolation, options.speculation)) {
    option->excludes(socket);
  }
  bench->add_option("--worker", options.worker, "another worker program for private supervisors")
      ->type_name("PATH")
      ->excludes(socket);
  add_json(*bench, options.format, "print one JSON object with every figure, durations in nanoseconds");
  bench->footer(kBenchHelp);
  bench->final_callback([&options] {
    if (!options.socket) return;
    if (const auto problem = problem_with_running_supervisor(options.suites)) {
      throw CLI::ValidationError("--suite", *problem);
    }
  });
  return bench;
}

CLI::App* add_doctor(CLI::App& app, DoctorOptions& options) {
  CLI::App* doctor = app.add_subcommand("doctor", "check which layers of the sandbox are in place on this host");
  add_kinds(*doctor, options.profile, options.isolation, options.speculation);
  doctor->add_option("--allow-missing", options.allow_missing, "a layer that may be missing; may be repeated")
      ->type_name("LAYER");
  add_json(*doctor, options.format, "print a JSON array");
  doctor->footer(kDoctorHelp);
  return doctor;
}

std::string name_of(const CLI::App& command) {
  return command.get_parent() == nullptr ? "holdfast" : "holdfast " + command.get_name();
}

// The commands, or the options of a command, that a user can type.
std::vector<std::string> words_of(const CLI::App& app, bool options) {
  std::vector<std::string> words;
  if (!options) {
    for (const CLI::App* command : app.get_subcommands(nullptr)) words.push_back(command->get_name());
    words.push_back("help");
    return words;
  }
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) words.push_back("--" + name);
  }
  return words;
}

std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const auto commands = app->get_subcommands();
  const CLI::App& command = commands.empty() ? *app : *commands.front();
  const auto unknown = app->remaining(true);
  std::string what = error.what();
  const auto option = std::ranges::find_if(unknown, [](const std::string& word) { return word.starts_with("-"); });
  std::string mistyped;
  if (option != unknown.end()) {
    mistyped = option->substr(0, option->find('='));
    what = fmt::format("{} has no option \"{}\"", name_of(command), mistyped);
  } else if (commands.empty() && !unknown.empty()) {
    mistyped = unknown.front();
    what = fmt::format("there is no command \"{}\"", mistyped);
  } else if (commands.empty() && error.get_exit_code() == static_cast<int>(CLI::ExitCodes::RequiredError)) {
    what = fmt::format("a command is required: {}", fmt::join(words_of(*app, false), ", "));
  }
  if (!mistyped.empty()) {
    const std::string meant = ipc::closest_word(mistyped, words_of(command, option != unknown.end()));
    if (!meant.empty()) what += fmt::format("; did you mean {}?", meant);
  }
  return fmt::format("error: {}\n`{} --help` tells more.\n",
                     ipc::printable(ipc::clean_utf8(what, 4096), ipc::Newlines::escape), name_of(command));
}

// Turns `holdfast help` and `holdfast help COMMAND` into --help.
std::vector<std::string> with_help_as_option(const CLI::App& app, int argc, char** argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  if (!arguments.empty() && arguments.front() == "help") {
    arguments.erase(arguments.begin());
    arguments.resize(std::min<std::size_t>(arguments.size(), 1));
    // Otherwise --help would be served without noticing that the command does not exist.
    const std::vector<std::string> known = words_of(app, false);
    const bool is_known = arguments.empty() || std::ranges::find(known, arguments.front()) != known.end();
    if (is_known) arguments.push_back("--help");
  }
  std::ranges::reverse(arguments);  // CLI::App::parse() takes the arguments in reverse
  return arguments;
}

}  // namespace

tl::expected<Command, int> parse_command_line(int argc, char** argv) {
  const std::string socket = ipc::default_socket_path();
  RunOptions run_options;
  InvokeOptions invoke_options{.target = {}, .supervisor = {socket}, .call = {}};
  PsOptions ps_options{.supervisor = {socket}};
  StatsOptions stats_options{.supervisor = {socket}, .filter = {}};
  LogsOptions logs_options{.supervisor = {socket}, .filter = {}};
  LoadOptions load_options{.folder = {}, .supervisor = {socket}};
  BenchOptions bench_options;
  DoctorOptions doctor_options;

  CLI::App app("Call functions of untrusted JavaScript modules, each locked in its own process.", "holdfast");
  app.set_version_flag("-V,--version", "holdfast " HOLDFAST_VERSION, "print the version and exit");
  app.set_help_flag("-h,--help", "print this help and exit; so does `holdfast help [COMMAND]`");
  app.require_subcommand(1);
  app.failure_message(failure_message);
  app.footer(fmt::format("{}\n\n{}", kExamples, kExitCodes));
  const CLI::App* run = add_run(app, run_options);
  const CLI::App* invoke = add_invoke(app, invoke_options);
  const CLI::App* ps = add_ps(app, ps_options);
  const CLI::App* stats = add_stats(app, stats_options);
  const CLI::App* logs = add_logs(app, logs_options);
  const CLI::App* load = add_load(app, load_options);
  const CLI::App* doctor = add_doctor(app, doctor_options);
  add_bench(app, bench_options);
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    command->set_help_flag("-h,--help", "print this help and exit");
    command->set_version_flag("-V,--version", "holdfast " HOLDFAST_VERSION, "print the version and exit");
    command->get_formatter()->column_width(34);
  }
  try {
    app.parse(with_help_as_option(app, argc, argv));
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage));
  }
  if (run->parsed()) return run_options;
  if (invoke->parsed()) return invoke_options;
  if (ps->parsed()) return ps_options;
  if (stats->parsed()) return stats_options;
  if (logs->parsed()) return logs_options;
  if (load->parsed()) return load_options;
  if (doctor->parsed()) return doctor_options;
  return bench_options;
}

}  // namespace holdfast::cli
