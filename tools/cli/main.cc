// The `holdfast` command: its flags and help. What the commands do is in *_command.cc.

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <map>
#include <fmt/format.h>

#include "ipc/module_name.h"
#include "ipc/socket_path.h"
#include "ipc/text.h"
#include "ipc/units.h"
#include "tools/cli/bench/bench_command.h"
#include "tools/cli/call_command.h"
#include "tools/cli/doctor/doctor_command.h"
#include "tools/cli/load_command.h"
#include "tools/cli/logs_command.h"
#include "tools/cli/ps_command.h"
#include "tools/cli/standard_streams.h"
#include "tools/cli/stats_command.h"

namespace holdfast::cli {
namespace {

constexpr const char* kExitCodes = R"(Exit codes:
  0    a result; the command did what was asked
  1    the function or its module failed by its own doing: exception, load_failed, not_found,
       not_serializable, payload_too_large
  2    the command line, its JSON or a file that it names cannot be used; nothing was called
  3    no supervisor, or the call was refused or stopped: deadline_exceeded, cpu_exceeded,
       out_of_memory, sandbox_violation, worker_crashed, overloaded, cancelled, permission_denied,
       unavailable, protocol_error
  130  cancelled by Ctrl-C (128 and the signal's number: 129 SIGHUP, 143 SIGTERM))";

constexpr const char* kExamples = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run sum.js addAll --args '[1,2,3]' --timeout 500ms
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast ps

`holdfast COMMAND --help` tells more of each.)";

constexpr const char* kRunHelp = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run report.js render - < data.json > report.json
  holdfast run untrusted.js main --memory 64MB --stretch 50ms --timeout 2s --json)";

constexpr const char* kInvokeHelp = R"(Examples:
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast invoke calculator@v1.0.0 addAll --args '[1,2,3]'
  holdfast invoke thumbnail@2 scale - --encoding bytes --timeout 5s < image.png > small.png
A function that streams has each value printed as it comes, JSON in lines.)";

constexpr const char* kPsHelp = R"(Columns, and keys with --json:
  pid              of the process, as the supervisor's host sees it
  module, version  what it hosts; "-" (JSON: "") for a standby
  state            starting, standby, loading, idle, busy or draining (it finishes the calls that it has)
  calls            answered since it started
  calls_in_flight  being worked on
  cpu              CPU time that it has used (JSON: seconds)
  memory           that it alone holds (JSON: bytes)
  age              since it was forked (JSON: seconds))";

constexpr const char* kStatsHelp = R"(Examples:
  holdfast stats
  holdfast stats calculator
  holdfast stats calculator@v1.0.0 --json

Columns, of each module that was called since holdfastd was started, most CPU time first:
  INSTANCES   workers that hold it now
  CALLS       accepted
  ERRORS      of them answered with an error; --json tells which
  REFUSED     not accepted: overloaded
  RETRIES     calls that were given to a further worker because one had died
  COLD        workers that were given the module
  QUEUED, IN_FLIGHT  calls that wait for a worker, or that one has, now
  CPU         time, of all its calls
  QUEUE, RUN  what its calls took on average, waiting and running
  MEMORY      the most that a worker of it was seen with
  IN / OUT    payloads, and results or errors
  HELD_OFF    for how long a module that keeps dying is not tried again, and why
The last line is of the supervisor itself.)";

constexpr const char* kLogsHelp = R"(Examples:
  holdfast logs
  holdfast logs -f calculator
  holdfast logs -n 20 calculator@v1.0.0 --json

A line has its time, level, module, version and the call's id (context.requestId), then the text;
further lines of a text are indented. Keys with --json:
  time, level, module, version, requestId, message
  dropped          only in notes: so many lines are missing here
holdfastd keeps the last 1000 lines of all modules together. Who may read them is the operator's to
say; to others it is permission_denied, and the exit code 3.)";

constexpr const char* kLoadHelp = R"(Examples:
  holdfast load functions/
  holdfast load functions/ --verbose

Serves each module that holdfastd does not find itself and that is called: MODULE-VERSION.js of DIR,
read when it is asked for. Runs until it is interrupted, and then exits with 0. Who may load modules
is the operator's to say; to others it is permission_denied, and the exit code 3.)";

constexpr const char* kBenchHelp = R"(Examples:
  holdfast bench
  holdfast bench --json > figures.json
  holdfast bench --socket /run/holdfast/holdfast.sock --target calculator@v1.0.0

What it measures:
  floor  bytes of the same size, moved through three processes and back by plain reads and writes
  hot    a call of a module that is loaded and warm, one at a time, in turns with the floor
  cold   the first call of a module, with a standby ready and without
  rates  calls per second with 1, 16 and 64 open at all times
Take the ratio of hot to floor from one machine to another, not the microseconds.)";

constexpr const char* kDoctorHelp = R"(Examples:
  holdfast doctor
  holdfast doctor --profile strict --json

Starts a worker as holdfastd would with these settings, and reads from /proc what the kernel
shows of it, and of its supervisor. States:
  active       in place
  missing      not in place: holdfastd does not start without it, unless --allow-missing names its layer
  off          by setting
  unavailable  neither this kernel nor this processor offers it; Holdfast does without
Exit code: 0 if nothing is missing, 1 if something is, 3 if there is no worker to look at.)";

CLI::Validator valid_duration() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_duration(text);
            if (!parsed) return parsed.error();
            return parsed->count() > 0 ? std::string() : fmt::format("\"{}\" is not more than 0", text);
          },
          ""};
}

CLI::Validator valid_size() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_size(text);
            if (!parsed) return parsed.error();
            return *parsed > 0 ? std::string() : fmt::format("\"{}\" is not more than 0", text);
          },
          ""};
}

CLI::Validator valid_target() {
  return {[](std::string& text) {
            const auto parsed = ipc::parse_module_name(text);
            return parsed ? std::string() : parsed.error();
          },
          ""};
}

// The format that `command --json` asks for.
void add_json(CLI::App& command, Format& format, const char* what) {
  command.add_flag_callback(
      "--json", [&format] { format = Format::json; }, what);
}

// An option that takes one of these words.
template <typename Value>
void add_choice(CLI::App& command, const char* name, Value& value, const std::map<std::string, Value>& words,
                const char* what) {
  const auto is_known = [words](const std::string& text) -> std::string {
    if (words.contains(text)) return "";
    std::string known;
    for (const auto& [word, meaning] : words) known += (known.empty() ? "" : ", ") + word;
    return fmt::format("\"{}\" is not known; expected one of {}", text, known);
  };
  command
      .add_option_function<std::string>(
          name, [&value, words](const std::string& text) { value = words.at(text); }, what)
      ->check(is_known)
      ->type_name("ENCODING");
}

void add_call(CLI::App& command, CallOptions& call) {
  command.add_option("FUNC", call.function, "the exported function to call")->required()->type_name("");
  auto* payload =
      command.add_option("PAYLOAD", call.payload, "its argument as JSON; - reads standard input; none is null")
          ->type_name("");
  add_choice(
      command, "--encoding", call.encoding,
      {{"json", ipc::Encoding::json}, {"bytes", ipc::Encoding::bytes}, {"structured", ipc::Encoding::structured}},
      "what PAYLOAD is: json, bytes (a Uint8Array), or structured");
  add_choice(command, "--result-encoding", call.result_encoding,
             {{"auto", ipc::ResultEncoding::automatic},
              {"json", ipc::ResultEncoding::json},
              {"bytes", ipc::ResultEncoding::bytes},
              {"structured", ipc::ResultEncoding::structured}},
             "what the result is to be: json, bytes, structured, or auto: bytes for an ArrayBuffer or a view of one");
  command.add_option("--args", call.arguments, "positional arguments as a JSON array, in the place of PAYLOAD")
      ->type_name("JSON")
      ->excludes(payload);
  command
      .add_option_function<std::string>(
          "--timeout", [&call](const std::string& text) { call.timeout = *ipc::parse_duration(text); },
          "how long the call may take, such as 500ms or 5s; else the supervisor's default")
      ->check(valid_duration())
      ->type_name("DURATION");
  command.add_flag("--usage", call.show_usage, "print on standard error what the call took: time, CPU time, memory");
  add_json(command, call.format, "print one JSON object, result or error and usage, on standard output");
}

void add_socket(CLI::App& command, std::string& socket) {
  command.add_option("--socket", socket, "the supervisor's socket; HOLDFAST_SOCKET sets another default")
      ->type_name("PATH")
      ->capture_default_str();
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
                   "running it twice does no harm: when its worker dies through no fault of the call, run it again");
  invoke->add_flag("--logs", options.call.show_logs,
                   "print on standard error what the module logs in this call, as it comes");
  add_socket(*invoke, options.socket);
  invoke->footer(fmt::format("{}\n\n{}", kInvokeHelp, kExitCodes));
  return invoke;
}

CLI::App* add_ps(CLI::App& app, std::string& socket, Format& format) {
  CLI::App* ps = app.add_subcommand("ps", "list the worker processes of a running holdfastd");
  add_socket(*ps, socket);
  add_json(*ps, format, "print a JSON array");
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
          "only this module; without a version each of its versions")
      ->check(valid_filter())
      ->type_name("");
}

CLI::App* add_logs(CLI::App& app, LogsOptions& options) {
  CLI::App* logs = app.add_subcommand("logs", "show what the modules of a running holdfastd log");
  add_filter(*logs, options.filter);
  logs->add_flag("-f,--follow", options.follow, "go on with the lines that come, until interrupted");
  logs->add_option("-n,--lines", options.lines, "of the last lines, show so many")
      ->check(CLI::Range(0U, 1'000'000U).description(""))
      ->type_name("N")
      ->capture_default_str();
  add_socket(*logs, options.socket);
  add_json(*logs, options.format, "print a JSON object on each line");
  logs->footer(kLogsHelp);
  return logs;
}

CLI::App* add_stats(CLI::App& app, StatsOptions& options) {
  CLI::App* stats = app.add_subcommand("stats", "tell what the modules of a running holdfastd have taken");
  add_filter(*stats, options.filter);
  add_socket(*stats, options.socket);
  add_json(*stats, options.format, "print one JSON object with all counts; durations in seconds, sizes in bytes");
  stats->footer(kStatsHelp);
  return stats;
}

CLI::App* add_load(CLI::App& app, LoadOptions& options) {
  CLI::App* load = app.add_subcommand("load", "give a running holdfastd the modules of a folder, until interrupted");
  load->add_option("DIR", options.folder, "the folder, with files MODULE-VERSION.js (.mjs, .cjs)")
      ->required()
      ->type_name("");
  load->add_option_function<std::string>(
          "--timeout", [&options](const std::string& text) { options.timeout = *ipc::parse_duration(text); },
          "how long the supervisor may wait for a module's file; else its default")
      ->check(valid_duration())
      ->type_name("DURATION");
  load->add_flag("-v,--verbose", options.verbose, "print on standard error each module that is asked for");
  add_socket(*load, options.socket);
  load->footer(kLoadHelp);
  return load;
}

CLI::App* add_bench(CLI::App& app, BenchOptions& options) {
  CLI::App* bench = app.add_subcommand("bench", "measure how fast calls are on this machine");
  bench->add_option("--calls", options.calls, "hot calls, in all rounds together")
      ->check(CLI::Range(1U, 100'000'000U).description(""))
      ->type_name("N")
      ->capture_default_str();
  bench->add_option("--rounds", options.rounds, "rounds in which hot calls and the floor take turns")
      ->check(CLI::Range(1U, 10'000U).description(""))
      ->type_name("N")
      ->capture_default_str();
  bench->add_option("--cold-calls", options.cold_calls, "cold calls of each kind")
      ->check(CLI::Range(1U, 500U).description(""))
      ->type_name("N")
      ->capture_default_str();
  bench->add_option("--seconds", options.seconds, "for each number of calls in flight")
      ->check(CLI::Range(0.01, 3600.0).description(""))
      ->type_name("S")
      ->capture_default_str();
  auto* socket = bench->add_option("--socket", options.socket, "measure this running supervisor, without cold calls")
                     ->type_name("PATH");
  auto* target =
      bench
          ->add_option_function<std::string>(
              "--target", [&options](const std::string& text) { options.target = *ipc::parse_module_name(text); },
              "its module whose add({a, b}) is called")
          ->check(valid_target())
          ->type_name("MODULE@VERSION");
  socket->needs(target);
  target->needs(socket);
  const auto add_choice = [&](const char* name, std::string& into, std::vector<std::string> choices) {
    bench->add_option(name, into, "of the private supervisors, as holdfastd's flag of this name")
        ->check(CLI::IsMember(std::move(choices)))
        ->type_name("")
        ->capture_default_str()
        ->excludes(socket);
  };
  add_choice("--profile", options.profile, {"jit", "strict"});
  add_choice("--isolation", options.isolation, {"fork", "exec"});
  add_choice("--speculation", options.speculation, {"restricted", "free"});
  bench->add_option("--worker", options.worker, "another worker program for them")->type_name("PATH")->excludes(socket);
  add_json(*bench, options.format, "print one JSON object with every figure, durations in nanoseconds");
  bench->footer(kBenchHelp);
  return bench;
}

CLI::App* add_doctor(CLI::App& app, DoctorOptions& options) {
  CLI::App* doctor = app.add_subcommand("doctor", "tell which layers of the sandbox are in place on this host");
  const auto add_choice = [&](const char* name, std::string& into, std::vector<std::string> choices) {
    doctor->add_option(name, into, "as holdfastd's flag of this name")
        ->check(CLI::IsMember(std::move(choices)))
        ->type_name("")
        ->capture_default_str();
  };
  add_choice("--profile", options.profile, {"jit", "strict"});
  add_choice("--isolation", options.isolation, {"fork", "exec"});
  add_choice("--speculation", options.speculation, {"restricted", "free"});
  doctor->add_option("--allow-missing", options.allow_missing, "a layer that may be missing; may be repeated")
      ->type_name("LAYER");
  add_json(*doctor, options.format, "print a JSON array");
  doctor->footer(kDoctorHelp);
  return doctor;
}

std::string failure_message(const CLI::App* app, const CLI::Error& error) {
  const auto commands = app->get_subcommands();
  const auto unknown = app->remaining();
  std::string what = error.what();
  if (commands.empty() && !unknown.empty()) what = fmt::format("there is no command \"{}\"", unknown.front());
  return fmt::format("error: {}\n`{} --help` tells more.\n",
                     ipc::printable(ipc::clean_utf8(what, 4096), ipc::Newlines::escape),
                     commands.empty() ? "holdfast" : "holdfast " + commands.front()->get_name());
}

int run_program(int argc, char** argv) {
  RunOptions run_options;
  InvokeOptions invoke_options{.target = {}, .socket = ipc::default_socket_path(), .call = {}};
  std::string ps_socket = ipc::default_socket_path();
  Format ps_format = Format::text;
  StatsOptions stats_options{.socket = ipc::default_socket_path(), .filter = {}};
  LogsOptions logs_options{.socket = ipc::default_socket_path(), .filter = {}};
  LoadOptions load_options{.folder = {}, .socket = ipc::default_socket_path()};
  BenchOptions bench_options;
  DoctorOptions doctor_options;

  CLI::App app("Call functions of untrusted JavaScript modules, each locked in a process of its own.", "holdfast");
  app.set_version_flag("--version", "holdfast " HOLDFAST_VERSION);
  app.require_subcommand(1);
  app.failure_message(failure_message);
  app.footer(fmt::format("{}\n\n{}", kExamples, kExitCodes));
  const CLI::App* run = add_run(app, run_options);
  const CLI::App* invoke = add_invoke(app, invoke_options);
  const CLI::App* ps = add_ps(app, ps_socket, ps_format);
  const CLI::App* stats = add_stats(app, stats_options);
  const CLI::App* logs = add_logs(app, logs_options);
  const CLI::App* load = add_load(app, load_options);
  const CLI::App* doctor = add_doctor(app, doctor_options);
  add_bench(app, bench_options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  if (run->parsed()) return run_command(run_options);
  if (invoke->parsed()) return invoke_command(invoke_options);
  if (ps->parsed()) return ps_command(ps_socket, ps_format);
  if (stats->parsed()) return stats_command(stats_options);
  if (logs->parsed()) return logs_command(logs_options);
  if (load->parsed()) return load_command(load_options);
  if (doctor->parsed()) return doctor_command(doctor_options);
  return bench_command(bench_options);
}

// Numbers 0 to 2 must be open, or a socket would get one of them and be taken for a standard stream. And a reader of
// our output that leaves, or a parent that set SIGCHLD to be ignored, must not change how the program ends.
void prepare_process() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
}

}  // namespace
}  // namespace holdfast::cli

int main(int argc, char** argv) {
  holdfast::cli::prepare_process();
  try {
    return holdfast::cli::run_program(argc, argv);
  } catch (const std::exception& exception) {
    holdfast::cli::write_standard_error(fmt::format("error: {}\n", exception.what()));
    return static_cast<int>(holdfast::cli::ExitCode::stopped);
  }
}
