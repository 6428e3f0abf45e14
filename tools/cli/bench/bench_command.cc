#include "tools/cli/bench/bench_command.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>

#include "ipc/module_name.h"
#include "ipc/text.h"
#include "tools/cli/bench/measurements.h"
#include "tools/cli/private_supervisor.h"
#include "tools/cli/standard_streams.h"

namespace holdfast::cli {
namespace {

using namespace bench;
namespace fs = std::filesystem;

constexpr std::string_view kModule = "module.exports = { add: async ({ a, b }) => a + b };\n";
const std::vector<unsigned> kInFlight = {1, 16, 64};

void show_progress(const std::string& text) {
  if (::isatty(STDERR_FILENO) == 1) write_standard_error(fmt::format("\r\x1b[K{}", text));
}

Stop stopped(std::string message) { return {static_cast<int>(ExitCode::stopped), std::move(message)}; }

// A folder of modules, each with an `add`, that goes away with its owner.
class ModuleFolder {
 public:
  static tl::expected<ModuleFolder, Stop> make() {
    std::string path = fs::temp_directory_path() / "holdfast-bench-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) {
      return tl::unexpected(stopped(fmt::format("cannot make a folder {}: {}", path, std::strerror(errno))));
    }
    return ModuleFolder(path);
  }
  ModuleFolder(ModuleFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ModuleFolder& operator=(ModuleFolder&&) = delete;
  ~ModuleFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }

  // Writes the modules' files and returns holdfastd's flags that name them.
  tl::expected<std::vector<std::string>, Stop> write(const std::vector<ipc::ModuleName>& modules) const {
    std::vector<std::string> flags;
    for (const ipc::ModuleName& module : modules) {
      const fs::path path = path_ / fmt::format("{}@{}.js", module.module, module.version);
      std::ofstream file(path);
      file << kModule << "// " << module.module << "\n";  // no two are the same text
      if (!file.flush()) return tl::unexpected(stopped(fmt::format("cannot write {}", path.string())));
      flags.insert(flags.end(), {"--module", fmt::format("{}@{}={}", module.module, module.version, path.string())});
    }
    return flags;
  }

 private:
  explicit ModuleFolder(fs::path path) : path_(std::move(path)) {}

  fs::path path_;
};

tl::expected<PrivateSupervisor, Stop> start_supervisor(const BenchOptions& options, std::vector<std::string> flags,
                                                       std::size_t workers, const char* standbys) {
  // Room for every module at once: an eviction in the middle would be measured too.
  flags.insert(flags.end(),
               {"--log-level", "warning", "--max-workers", fmt::to_string(workers), "--standby", standbys, "--profile",
                options.profile, "--isolation", options.isolation, "--speculation", options.speculation});
  if (!options.worker.empty()) flags.insert(flags.end(), {"--worker", options.worker});
  auto supervisor = PrivateSupervisor::start(flags);
  if (!supervisor) return tl::unexpected(stopped(supervisor.error().message));
  return std::move(*supervisor);
}

std::optional<Stop> measure_hot_and_rates(Bench& bench, const BenchOptions& options, ipc::Client& client,
                                          const ipc::ModuleName& target, Report& report) {
  const CallBytes bytes = call_bytes(target);
  report.request_bytes = bytes.request;
  report.answer_bytes = bytes.answer;
  report.supervisor_version = client.server().server_version;
  auto floor = Floor::start(bytes.request, bytes.answer);
  if (!floor) return stopped(floor.error());

  auto samples = measure_hot(bench, client, *floor, target, options.calls, options.rounds);
  if (!samples) return samples.error();
  report.floor = summarize(std::move(samples->floor));
  report.hot = summarize(std::move(samples->hot));
  report.rounds = std::move(samples->rounds);

  const auto duration = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(options.seconds));
  auto rates = measure_rates(bench, client, target, kInFlight, duration);
  if (!rates) return rates.error();
  report.rates = std::move(*rates);
  return std::nullopt;
}

std::optional<Stop> measure_privately(Bench& bench, const BenchOptions& options, Report& report) {
  const ipc::ModuleName hot{"hot", "bench"};
  std::vector<ipc::ModuleName> cold;
  for (unsigned i = 0; i < options.cold_calls; ++i) cold.push_back({fmt::format("cold-{}", i), "bench"});
  std::vector<ipc::ModuleName> all = cold;
  all.push_back(hot);

  const auto folder = ModuleFolder::make();
  if (!folder) return folder.error();
  const auto flags = folder->write(all);
  if (!flags) return flags.error();
  const std::size_t workers = all.size() + 2;
  {
    bench.progress("starting a private supervisor");
    auto supervisor = start_supervisor(options, *flags, workers, "1");
    if (!supervisor) return supervisor.error();
    auto stop = measure_hot_and_rates(bench, options, supervisor->client(), hot, report);
    if (stop) return stop;
    auto samples = measure_cold(bench, supervisor->client(), cold, Standby::awaited);
    if (!samples) return samples.error();
    report.cold_with_standby = summarize(std::move(*samples));
  }
  bench.progress("starting a private supervisor without standbys");
  auto supervisor = start_supervisor(options, *flags, workers, "0");
  if (!supervisor) return supervisor.error();
  auto samples = measure_cold(bench, supervisor->client(), cold, Standby::none);
  if (!samples) return samples.error();
  report.cold_without_standby = summarize(std::move(*samples));
  return std::nullopt;
}

std::optional<Stop> measure(Bench& bench, const BenchOptions& options, Report& report) {
  report.machine = this_machine();
  report.client_version = HOLDFAST_VERSION;
  if (!options.socket || !options.target) return measure_privately(bench, options, report);
  auto client = ipc::Client::connect(*options.socket, {.name = "holdfast bench " HOLDFAST_VERSION});
  if (!client) return stopped(client.error().message);
  return measure_hot_and_rates(bench, options, *client, *options.target, report);
}

}  // namespace

int bench_command(const BenchOptions& options) {
  SignalWatch signals;
  Bench bench{signals, show_progress};
  Report report;
  const auto stop = measure(bench, options, report);
  show_progress("");
  if (stop) {
    const std::string message = ipc::printable(ipc::clean_utf8(stop->message, 4096), ipc::Newlines::escape);
    if (!message.empty()) write_standard_error(fmt::format("error: {}\n", message));
    return stop->exit_code;
  }
  const bool written =
      write_standard_output(options.format == Format::json ? report_as_json(report) : report_as_table(report));
  return static_cast<int>(written ? ExitCode::result : ExitCode::stopped);
}

}  // namespace holdfast::cli
