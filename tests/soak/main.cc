// soak: the chaos and soak test of Holdfast, with its real programs. tools/soak runs it, and tools/test runs a short
// form.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <mutex>
#include <random>
#include <sstream>
#include <stdexcept>
#include <thread>

#include "ipc/base/units.h"
#include "tests/soak/forms.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"

namespace holdfast::soak {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t interrupted = 0;

void on_interrupt(int) { interrupted = 1; }

// More than the form's own guards allow: a run that takes longer hangs.
constexpr std::chrono::seconds kBesidesDuration{300};

// Ends this program and everything that it started if the program has not ended in time. A holdfastd that was started
// as root and gave up its rights has lost its parent-death signal (prctl(2)), so it would outlive this program.
class Watchdog {
 public:
  explicit Watchdog(Clock::duration time) : thread_([this, time] { watch(time); }) {}
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      is_done_ = true;
    }
    done_.notify_all();
    thread_.join();
  }
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

 private:
  void watch(Clock::duration time) {
    std::unique_lock lock(mutex_);
    if (done_.wait_for(lock, time, [this] { return is_done_; })) return;
    fmt::print(stderr, "broken: the soak test hangs\n");
    for (pid_t process : test::descendants_of(::getpid())) ::kill(process, SIGKILL);
    ::_exit(1);
  }

  std::mutex mutex_;
  std::condition_variable done_;
  bool is_done_ = false;
  std::thread thread_;
};

// Handles assertions of tests/support, which run outside of any test case here.
void on_assert(const doctest::AssertData& data) {
  if (!data.m_failed) return;
  std::ostringstream text;
  text << data.m_file << ":" << data.m_line << ": " << data.m_expr;
  for (int i = 0; i < doctest::IReporter::get_num_active_contexts(); ++i) {
    text << "; ";
    doctest::IReporter::get_active_contexts()[i]->stringify(&text);
  }
  throw std::runtime_error(text.str());
}

// Sets the paths of the programs that the environment does not name: they are in this program's build folder.
void find_programs() {
  std::error_code error;
  const fs::path build = fs::read_symlink("/proc/self/exe", error).parent_path() / "../..";
  const auto set = [&](const char* name, const char* path) {
    ::setenv(name, (build / path).lexically_normal().c_str(), 0);
  };
  set("HOLDFAST_TEST_SUPERVISOR", "supervisor/holdfastd");
  set("HOLDFAST_TEST_WORKER", "worker/holdfast-worker");
  set("HOLDFAST_TEST_COMMAND", "tools/cli/holdfast");
}

// Each client takes a descriptor, and a thousand of them exceed the usual soft limit.
void raise_descriptor_limit() {
  rlimit limit = {};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

struct Options {
  std::uint64_t seed = std::random_device()();
  std::chrono::nanoseconds duration{0};
  std::chrono::nanoseconds slice = std::chrono::milliseconds(200);
  std::size_t modules = 1000;
  std::size_t workers = 0;
  std::size_t calls = 2000;
  bool as_json = false;
  bool is_verbose = false;
  bool as_nobody = false;
};

void add_duration(CLI::App& app, const std::string& flag, std::chrono::nanoseconds& value, const char* shown_default,
                  const char* meaning) {
  app.add_option_function<std::string>(
         flag,
         [&value, flag](const std::string& text) {
           const auto duration = ipc::parse_duration(text);
           if (!duration) throw CLI::ValidationError(flag, duration.error());
           value = *duration;
         },
         meaning)
      ->type_name("DURATION")
      ->default_str(shown_default);
}

void add_duration(CLI::App& app, Options& options, const char* shown_default) {
  add_duration(app, "--duration", options.duration, shown_default, "how long calls are made");
}

void add_common(CLI::App& app, Options& options) {
  app.add_flag("--json", options.as_json, "figures as one JSON object");
  app.add_flag("--verbose", options.is_verbose, "print each act and the end of holdfastd's log on standard error");
  app.add_flag("--as-nobody", options.as_nobody, "run holdfastd as nobody; needs root");
}

int run_form(const Options& options, Clock::duration duration, const std::string& replay,
             const std::function<void(Run&)>& form) {
  const Watchdog watchdog(duration + kBesidesDuration);
  Report report(options.is_verbose);
  Run run{.report = report, .seed = options.seed, .duration = duration, .as_nobody = options.as_nobody};
  fmt::print(stderr, "replay: {}\n", replay);
  report.figure("replay", replay);
  const auto begin = Clock::now();
  try {
    form(run);
  } catch (const std::exception& error) {
    report.broken(error.what());
  }
  report.figure("took, s", std::chrono::duration<double>(Clock::now() - begin).count());
  if (is_interrupted()) report.figure("interrupted", true);
  show_progress("");
  if (!report.held() || options.is_verbose) {
    if (!options.is_verbose) fmt::print(stderr, "the last acts:\n{}", report.last_notes());
    const std::string& logs = test::logs_of_this_test();
    constexpr std::size_t kMostBytes = 16 << 10;
    fmt::print(stderr, "the end of holdfastd's log:\n{}", logs.substr(logs.size() - std::min(logs.size(), kMostBytes)));
  }
  report.print(options.as_json);
  if (!report.held()) return 1;
  constexpr int kInterrupted = 128 + SIGINT;
  return is_interrupted() ? kInterrupted : 0;
}

int run(int argc, char** argv) {
  Options options;
  CLI::App app("soak: chaos, and many modules and workers, on the real programs.");
  app.require_subcommand(1);
  app.footer("Exit status: 0 everything held, 1 something did not, 2 usage, 130 interrupted; all held until then.");
  CLI::App& chaos = *app.add_subcommand("chaos", "kill, stop, starve and flood a supervisor while it serves calls");
  chaos.add_option("--seed", options.seed, "seed of all random choices (default: a new one each time)");
  add_duration(chaos, options, "1m");
  add_common(chaos, options);
  CLI::App& many_modules = *app.add_subcommand("many-modules", "more modules than workers, each called all the time");
  many_modules.add_option("--modules", options.modules, "number of modules")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000));
  many_modules.add_option("--workers", options.workers, "most workers at a time")
      ->default_str("50")
      ->check(CLI::Range(1, 100'000));
  add_duration(many_modules, options, "5m");
  add_common(many_modules, options);
  CLI::App& fairness = *app.add_subcommand("fairness", "a module that is called once a second among flooded modules");
  add_duration(fairness, "--slice", options.slice, "200ms", "value of holdfastd's --slice");
  add_duration(fairness, options, "10s");
  add_common(fairness, options);
  CLI::App& batch = *app.add_subcommand("batch", "many calls to one module, which gets more processes");
  batch.add_option("--calls", options.calls, "number of calls")->capture_default_str()->check(CLI::Range(1, 1'000'000));
  add_common(batch, options);
  CLI::App& many_workers = *app.add_subcommand("many-workers", "many workers alive at once");
  many_workers.add_option("--workers", options.workers, "number of workers")
      ->default_str("1000")
      ->check(CLI::Range(1, 100'000));
  add_common(many_workers, options);
  try {
    app.parse(argc, argv);
    if (options.as_nobody && ::geteuid() != 0)
      throw CLI::ValidationError("--as-nobody", "only root can run holdfastd as another user");
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const auto duration_or = [&](Clock::duration other) {
    return options.duration.count() > 0 ? options.duration : other;
  };
  const std::string nobody = options.as_nobody ? " --as-nobody" : "";
  if (chaos.parsed()) {
    const auto duration = duration_or(std::chrono::minutes(1));
    return run_form(
        options, duration,
        fmt::format("soak chaos --seed {} --duration {}{}", options.seed, ipc::format_duration(duration), nobody),
        run_chaos);
  }
  if (many_modules.parsed()) {
    const std::size_t workers = options.workers > 0 ? options.workers : 50;
    const auto duration = duration_or(std::chrono::minutes(5));
    return run_form(options, duration,
                    fmt::format("soak many-modules --modules {} --workers {} --duration {}{}", options.modules, workers,
                                ipc::format_duration(duration), nobody),
                    [&](Run& given) { run_many_modules(given, options.modules, workers); });
  }
  if (fairness.parsed()) {
    const auto duration = duration_or(std::chrono::seconds(10));
    return run_form(options, 4 * duration,
                    fmt::format("soak fairness --slice {} --duration {}{}", ipc::format_duration(options.slice),
                                ipc::format_duration(duration), nobody),
                    [&](Run& given) {
                      given.duration = duration;
                      run_fairness(given, options.slice);
                    });
  }
  if (batch.parsed()) {
    return run_form(options, std::chrono::minutes(0), fmt::format("soak batch --calls {}{}", options.calls, nobody),
                    [&](Run& given) { run_batch(given, options.calls); });
  }
  const std::size_t workers = options.workers > 0 ? options.workers : 1000;
  return run_form(options, std::chrono::minutes(0), fmt::format("soak many-workers --workers {}{}", workers, nobody),
                  [&](Run& given) { run_many_workers(given, workers); });
}

}  // namespace

bool is_interrupted() { return interrupted != 0; }

bool pause_for(Clock::duration time) {
  constexpr milliseconds kLook{50};
  const auto end = Clock::now() + time;
  while (!is_interrupted()) {
    const auto left = std::chrono::ceil<milliseconds>(end - Clock::now());
    if (left <= milliseconds(0)) return true;
    ::poll(nullptr, 0, static_cast<int>(std::min(left, kLook).count()));
  }
  return false;
}

void show_progress(const std::string& line) {
  static const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  if (is_terminal) fmt::print(stderr, "\r\033[K{}", line);
}

double in_millis(Clock::duration time) { return std::chrono::duration<double, std::milli>(time).count(); }

}  // namespace holdfast::soak

int main(int argc, char** argv) {
  doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler(holdfast::soak::on_assert);
  struct sigaction interrupt = {};
  interrupt.sa_handler = holdfast::soak::on_interrupt;
  ::sigaction(SIGINT, &interrupt, nullptr);
  ::sigaction(SIGTERM, &interrupt, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  holdfast::soak::raise_descriptor_limit();
  holdfast::soak::find_programs();
  return holdfast::soak::run(argc, argv);
}
