#include "tools/cli/bench/bench_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "ipc/base/text.h"
#include "tools/cli/bench/calls.h"
#include "tools/cli/bench/plots.h"
#include "tools/cli/bench/report.h"
#include "tools/cli/bench/suite.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {
namespace {

using namespace bench;

enum class Supervisors { any, private_only };

struct KnownSuite {
  std::string_view name;
  Sections (*run)(const Context&);
  Supervisors supervisors = Supervisors::private_only;
  bool is_quick = false;  // run if no suite is named
};

// In the order in which the suites run.
constexpr std::array kSuites = {KnownSuite{"hot", run_hot, Supervisors::any, true},
                                KnownSuite{"cold", run_cold, Supervisors::private_only, true},
                                KnownSuite{"rates", run_rates, Supervisors::any, true},
                                KnownSuite{"clients", run_clients, Supervisors::any},
                                KnownSuite{"payloads", run_payloads},
                                KnownSuite{"modules", run_modules},
                                KnownSuite{"workers", run_workers},
                                KnownSuite{"cold-rate", run_cold_rate},
                                KnownSuite{"stuck", run_stuck},
                                KnownSuite{"memory", run_memory},
                                KnownSuite{"line", run_line}};

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) == 1) write_standard_error(fmt::format("\r\x1b[K{}", text));
}

bool is_among(const std::vector<std::string>& names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

bool is_wanted(const BenchOptions& options, const KnownSuite& suite) {
  if (!options.suites.empty()) return is_among(options.suites, suite.name);
  return suite.is_quick && (!options.socket || suite.supervisors == Supervisors::any);
}

std::vector<Value> parameters_of(const BenchOptions& options) {
  std::string suites;
  for (const KnownSuite& suite : kSuites) {
    if (is_wanted(options, suite)) suites += fmt::format("{}{}", suites.empty() ? "" : ",", suite.name);
  }
  std::vector<Value> values = {text("suites", suites),
                               count("calls", options.calls),
                               count("rounds", options.rounds),
                               count("cold_calls", options.cold_calls),
                               {"seconds", options.seconds, Unit::none},
                               count("workers", options.workers),
                               count("warm_up_calls", kWarmUpCalls)};
  const auto add_given = [&values](const char* key, const std::string& value) {
    if (!value.empty()) values.push_back(text(key, value));
  };
  add_given("bundle", options.bundle);
  add_given("fork_call", options.fork_call);
  add_given("worker", options.worker);
  if (options.socket) return values;
  values.push_back(text("profile", options.profile));
  values.push_back(text("isolation", options.isolation));
  values.push_back(text("speculation", options.speculation));
  return values;
}

// Prints why the run stopped early, and returns the exit code.
int tell(const Stop& stopped) {
  const std::string message = ipc::printable(ipc::clean_utf8(stopped.message, 4096), ipc::Newlines::escape);
  if (!message.empty()) write_standard_error(fmt::format("error: {}\n", message));
  return stopped.exit_code;
}

std::optional<Stop> run_suites(const Context& context, std::vector<Section>& sections) {
  for (const KnownSuite& suite : kSuites) {
    if (!is_wanted(context.options, suite)) continue;
    auto found = suite.run(context);
    if (!found) return found.error();
    std::ranges::move(*found, std::back_inserter(sections));
  }
  return std::nullopt;
}

tl::expected<void, std::string> write_files(const BenchOptions& options, const Report& report) {
  if (!options.figures.empty()) {
    std::ofstream file(options.figures);
    file << report_as_json(report);
    if (!file.flush()) {
      return tl::unexpected(fmt::format("cannot write {}: {}", options.figures, std::strerror(errno)));
    }
  }
  return options.plots.empty() ? tl::expected<void, std::string>() : write_plots(report.sections, options.plots);
}

}  // namespace

tl::expected<std::vector<std::string>, std::string> parse_suites(const std::string& text) {
  std::vector<std::string> names;
  std::string known = "all";
  for (const KnownSuite& suite : kSuites) known += fmt::format(", {}", suite.name);
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    begin = end + 1;
    if (name == "all") {
      for (const KnownSuite& suite : kSuites) names.emplace_back(suite.name);
    } else if (std::ranges::find(kSuites, name, &KnownSuite::name) != kSuites.end()) {
      names.push_back(name);
    } else {
      return tl::unexpected(fmt::format("there is no suite \"{}\"; expected a list of {}", name, known));
    }
  }
  return names;
}

std::optional<std::string> problem_with_running_supervisor(const std::vector<std::string>& suites) {
  for (const KnownSuite& suite : kSuites) {
    if (suite.supervisors == Supervisors::private_only && is_among(suites, suite.name)) {
      return fmt::format("the suite {} needs private supervisors, which --socket excludes", suite.name);
    }
  }
  return std::nullopt;
}

int bench_command(const BenchOptions& options) {
  SignalWatch signals;
  const auto files = ModuleFiles::make();
  if (!files) return tell({static_cast<int>(ExitCode::stopped), files.error()});
  Report report{.machine = this_machine(),
                .client_version = HOLDFAST_VERSION,
                .supervisor_version = {},
                .parameters = parameters_of(options),
                .sections = {}};
  const auto stopped =
      run_suites({options, signals, *files, show_progress, report.supervisor_version}, report.sections);
  show_progress("");
  if (stopped) return tell(*stopped);
  if (const auto written = write_files(options, report); !written) {
    return tell({static_cast<int>(ExitCode::stopped), written.error()});
  }
  const bool written =
      write_standard_output(options.format == Format::json ? report_as_json(report) : report_as_table(report));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
