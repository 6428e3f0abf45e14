// holdfastd's command line: the effect of each flag, the defaults, and the messages about mistakes.
#include "supervisor/options.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/supervisor/test_support.h"

namespace holdfast::supervisor {
namespace {

using namespace std::chrono_literals;
using testing::TemporaryFolder;

// Captures a stream's output during this object's lifetime.
class Captured {
 public:
  explicit Captured(std::ostream& stream) : stream_(stream), before_(stream.rdbuf(text_.rdbuf())) {}
  ~Captured() { stream_.rdbuf(before_); }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::ostream& stream_;
  std::streambuf* before_;
};

struct Parsed {
  std::variant<Options, int> outcome;
  std::string out, err;
};

Parsed parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "holdfastd");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  const Captured out(std::cout), err(std::cerr);
  auto outcome = parse_options(static_cast<int>(arguments.size()), argv.data());
  return {std::move(outcome), out.text(), err.text()};
}

// The options of a valid command line, to which a --module is added.
Options options(std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"--module", "m@1=m.js"});
  Parsed parsed = parse(std::move(arguments));
  REQUIRE_MESSAGE(std::holds_alternative<Options>(parsed.outcome), parsed.err);
  CHECK(parsed.out.empty());
  CHECK(parsed.err.empty());
  return std::get<Options>(std::move(parsed.outcome));
}

// What is printed for an invalid command line.
std::string mistake_of(std::vector<std::string> arguments) {
  const bool has_modules = std::find(arguments.begin(), arguments.end(), "no modules") != arguments.end();
  std::erase(arguments, "no modules");
  if (!has_modules) arguments.insert(arguments.end(), {"--module", "m@1=m.js"});
  const Parsed parsed = parse(std::move(arguments));
  REQUIRE(std::holds_alternative<int>(parsed.outcome));
  CHECK(std::get<int>(parsed.outcome) == 2);
  CHECK(parsed.out.empty());
  CHECK_FALSE(parsed.err.empty());
  return parsed.err;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// Sets HOLDFAST_SOCKET during this object's lifetime.
class SocketVariable {
 public:
  explicit SocketVariable(const char* value) {
    if (const char* before = std::getenv("HOLDFAST_SOCKET")) before_ = before;
    ::setenv("HOLDFAST_SOCKET", value, 1);
  }
  ~SocketVariable() {
    if (before_) {
      ::setenv("HOLDFAST_SOCKET", before_->c_str(), 1);
    } else {
      ::unsetenv("HOLDFAST_SOCKET");
    }
  }
  SocketVariable(const SocketVariable&) = delete;
  SocketVariable& operator=(const SocketVariable&) = delete;

 private:
  std::optional<std::string> before_;
};

// --- what is set ---------------------------------------------------------------------------------------------------

TEST_CASE("without options the defaults are those in the help text") {
  const SocketVariable socket("/somewhere/h.sock");
  const Options defaults = options({});
  CHECK(defaults.socket == "/somewhere/h.sock");
  CHECK(defaults.socket_mode == 0600);
  CHECK(defaults.modules.empty());
  CHECK_FALSE(defaults.max_workers.has_value());
  CHECK_FALSE(defaults.max_clients.has_value());
  CHECK(defaults.client_memory_bytes == std::uint64_t{512} << 20);
  CHECK(defaults.standby == 1);
  CHECK(defaults.module_defaults.queue_limit == 10'000);
  CHECK(defaults.module_defaults.timeout == 30s);
  CHECK(defaults.module_defaults.stretch == 1s);
  CHECK(defaults.module_defaults.memory_bytes == std::uint64_t{128} << 20);
  CHECK(defaults.module_defaults.idle_timeout == 1min);
  CHECK(defaults.module_defaults == ModuleSettings{});
  CHECK(defaults.config.empty());
  CHECK(defaults.slice == 200ms);
  CHECK(defaults.waiting_grace == 1s);
  CHECK(defaults.busy_poll == 50us);
  CHECK(defaults.client_queue_limit == 1024);
  CHECK(defaults.total_queue_limit == 100'000);
  CHECK(defaults.standby_max == 64);
  CHECK(defaults.standby_memory_share == doctest::Approx(0.05));
  CHECK_FALSE(defaults.loaders.covers(0));
  CHECK_FALSE(defaults.loaders.covers(1000));
  CHECK(defaults.loader_timeout == 5s);
  CHECK(defaults.shutdown_grace == 10s);
  CHECK(defaults.log_level == "info");
  CHECK(defaults.clock_resolution == 100us);
  CHECK_FALSE(defaults.code_from_strings.covers({"m", "v1"}));
  CHECK(defaults.worker_program.filename() == "holdfast-worker");
  CHECK_FALSE(defaults.client_fd.has_value());
  CHECK_FALSE(defaults.ready_fd.has_value());

  const std::string help = parse({"--help"}).out;
  for (const char* shown : {"/somewhere/h.sock", "0600", "30s", "1s", "128MB", "60s", "10s", "info", "10000", "100us",
                            "1024", "100000", "100ms", "64", "5%", "5s"}) {
    CHECK_MESSAGE(has(help, shown), shown);
  }
}

TEST_CASE("each option sets what it says") {
  TemporaryFolder folder;
  CHECK(options({"--socket", "/run/x.sock"}).socket == "/run/x.sock");
  CHECK(options({"--modules", folder.path().string()}).modules == folder.path());
  CHECK(options({"--max-workers", "7"}).max_workers == 7);
  CHECK(options({"--max-clients", "9"}).max_clients == 9);
  CHECK(options({"--client-memory", "64MB"}).client_memory_bytes == std::uint64_t{64} << 20);
  CHECK(options({"--standby", "0"}).standby == 0);
  CHECK(options({"--standby=3"}).standby == 3);
  CHECK(options({"--queue-limit", "1"}).module_defaults.queue_limit == 1);
  CHECK(options({"--timeout", "1500ms"}).module_defaults.timeout == 1500ms);
  CHECK(options({"--stretch", "20ms"}).module_defaults.stretch == 20ms);
  CHECK(options({"--memory", "64MB"}).module_defaults.memory_bytes == std::uint64_t{64} << 20);
  CHECK(options({"--clock-resolution", "50ms"}).clock_resolution == 50ms);
  CHECK(options({"--clock-resolution", "1ns"}).clock_resolution == 1ns);
  CHECK(options({"--allow-eval", "m@v1", "--allow-eval", "n"}).code_from_strings.covers({"m", "v1"}));
  CHECK(options({"--allow-eval", "m@v1", "--allow-eval", "n"}).code_from_strings.covers({"n", "v7"}));
  CHECK(options({"--max-instances", "4"}).module_defaults.max_instances == 4);
  CHECK(options({"--concurrency", "1"}).module_defaults.concurrency == 1);
  CHECK(options({"--max-retries", "0"}).module_defaults.max_retries == 0);
  CHECK(options({"--config", folder.write("s.toml", "").string()}).config == folder / "s.toml");
  CHECK(options({"--slice", "1ms"}).slice == 1ms);
  CHECK(options({"--waiting-grace", "1ms"}).waiting_grace == 1ms);
  CHECK(options({"--busy-poll", "0s"}).busy_poll == 0s);
  CHECK(options({"--busy-poll", "1ms"}).busy_poll == 1ms);
  CHECK(options({"--client-queue-limit", "3"}).client_queue_limit == 3);
  CHECK(options({"--total-queue-limit", "4"}).total_queue_limit == 4);
  CHECK(options({"--standby-max", "5"}).standby_max == 5);
  CHECK(options({"--standby-memory", "12.5%"}).standby_memory_share == doctest::Approx(0.125));
  CHECK(options({"--standby-memory", "0%"}).standby_memory_share == 0);
  CHECK(options({"--loader-timeout", "200ms"}).loader_timeout == 200ms);
  CHECK(options({"--idle-timeout", "5m"}).module_defaults.idle_timeout == 5min);
  CHECK(options({"--idle-timeout", "0"}).module_defaults.idle_timeout == 0s);
  CHECK(options({"--shutdown-timeout", "0.5s"}).shutdown_grace == 500ms);
  CHECK(options({"--worker", "/opt/worker"}).worker_program == "/opt/worker");
  CHECK(options({"--client-fd", "5"}).client_fd == 5);
  CHECK(options({"--ready-fd", "6"}).ready_fd == 6);
  for (const char* level : {"debug", "info", "warning", "error", "off"}) {
    CHECK(options({"--log-level", level}).log_level == level);
  }
}

TEST_CASE("a file mode is octal, with or without a leading 0") {
  CHECK(options({"--socket-mode", "0660"}).socket_mode == 0660);
  CHECK(options({"--socket-mode", "666"}).socket_mode == 0666);
  CHECK(options({"--socket-mode", "0"}).socket_mode == 0);
  for (const char* mode : {"", "0o660", "rw-rw----", "0888", "1777", "-1", "660 ", "99999999999999999999"}) {
    CAPTURE(std::string_view(mode));
    const std::string text = mistake_of({"--socket-mode", mode});
    CHECK(has(text, "--socket-mode"));
    CHECK(has(text, "octal"));
  }
}

TEST_CASE("single modules can be named with their files, as many as wanted") {
  const Options given = options({"--module", "sum@v1=/a/sum.js", "--module", "div@2=b=c.js"});
  REQUIRE(given.module_files.size() == 3);
  CHECK(given.module_files[0] == std::pair{ModuleName{"sum", "v1"}, std::filesystem::path("/a/sum.js")});
  CHECK(given.module_files[1] == std::pair{ModuleName{"div", "2"}, std::filesystem::path("b=c.js")});
}

TEST_CASE("durations and sizes have units, and a number alone is a mistake that names them") {
  for (const char* option : {"--timeout", "--stretch", "--idle-timeout", "--shutdown-timeout"}) {
    for (const char* value : {"5", "5 parsecs", "", "-1s", "s", "1e9999s", "nan"}) {
      CAPTURE(std::string_view(option));
      CAPTURE(std::string_view(value));
      CHECK(has(mistake_of({option, value}), option));
    }
    CHECK(has(mistake_of({option, "5"}), "200ms or 5s"));
  }
  for (const char* value : {"128", "128 potatoes", "", "-1MB", "99999999TB"}) {
    CAPTURE(std::string_view(value));
    CHECK(has(mistake_of({"--memory", value}), "--memory"));
  }
  CHECK(has(mistake_of({"--memory", "128"}), "such as 128MB"));
}

TEST_CASE("users who may load modules are named, numbered, or any") {
  const AllowedUsers some = options({"--allow-loader", "root", "--allow-loader", "1234"}).loaders;
  CHECK(some.covers(0));
  CHECK(some.covers(1234));
  CHECK_FALSE(some.covers(1235));
  const AllowedUsers any = options({"--allow-loader", "any"}).loaders;
  CHECK(any.covers(0));
  CHECK(any.covers(65534));
  for (const char* user : {"", "no such user", "-1", "4294967295", "99999999999", "1.5", "root\x1b[2J"}) {
    CAPTURE(std::string_view(user));
    const std::string text = mistake_of({"--allow-loader", user});
    CHECK(has(text, "--allow-loader"));
    CHECK(has(text, "expected a user's name, a uid, or any"));
    CHECK_FALSE(has(text, "\x1b"));
  }
}

TEST_CASE("the log's format and levels, and who may read what modules log, are set by flags") {
  const Options plain = options({});
  CHECK(plain.log_format == LogFormat::text);
  CHECK_FALSE(plain.module_log_level);
  CHECK_FALSE(plain.log_readers.covers(0));  // main() adds root and its own user
  const Options set =
      options({"--log-format", "json", "--module-log-level", "off", "--allow-logs", "root", "--allow-logs", "1234"});
  CHECK(set.log_format == LogFormat::json);
  CHECK(set.module_log_level == "off");
  CHECK(set.log_readers.covers(0));
  CHECK(set.log_readers.covers(1234));
  CHECK_FALSE(set.log_readers.covers(1235));
  CHECK(has(mistake_of({"--log-format", "xml"}), "--log-format"));
  CHECK(has(mistake_of({"--module-log-level", "loud"}), "--module-log-level"));
  CHECK(has(mistake_of({"--allow-logs", "no such user"}), "--allow-logs"));
}

TEST_CASE("the most standbys are at least those that are always kept") {
  CHECK(options({"--standby", "100"}).standby_max == 100);
  CHECK(options({"--standby", "3", "--standby-max", "3"}).standby_max == 3);
  CHECK(has(mistake_of({"--standby", "4", "--standby-max", "3"}), "less than --standby, 4"));
}

// --- mistakes ------------------------------------------------------------------------------------------------------

TEST_CASE("a command line without modules is a mistake that says how to name them") {
  const std::string text = mistake_of({"no modules"});
  CHECK(has(text, "--modules DIR"));
  CHECK(has(text, "--module NAME@VERSION=FILE"));
}

TEST_CASE("a folder of modules must be there") {
  TemporaryFolder folder;
  folder.write("file", "");
  CHECK(has(mistake_of({"--modules", (folder / "gone").string()}), "--modules"));
  CHECK(has(mistake_of({"--modules", (folder / "file").string()}), "--modules"));
}

TEST_CASE("a settings file must be there") {
  TemporaryFolder folder;
  CHECK(has(mistake_of({"--config", (folder / "gone").string()}), "--config"));
  CHECK(has(mistake_of({"--config", folder.path().string()}), "--config"));
  CHECK(has(mistake_of({"--config", ""}), "--config"));
}

TEST_CASE("a module that is named in a wrong way is a mistake that quotes it") {
  for (const std::string text : {"sum", "sum@v1", "sum=sum.js", "@v1=sum.js", "sum@=sum.js", "../sum@v1=sum.js",
                                 ".sum@v1=sum.js", "sum@v1@v2=sum.js", "=sum.js", "sum@v1=", ""}) {
    CAPTURE(text);
    const std::string said = mistake_of({"--module", text});
    CHECK(has(said, "--module"));
  }
  CHECK(has(mistake_of({"--module", "sum@v1"}), "MODULE@VERSION=FILE"));
}

TEST_CASE("numbers must be within their bounds") {
  const std::vector<std::pair<std::string, std::vector<std::string>>> wrong = {
      {"--max-workers", {"0", "-1", "100001", "many", "1.5", ""}},
      {"--max-clients", {"0", "-1", "1000001", "many", ""}},
      {"--client-memory", {"0", "63MB", "many", ""}},
      {"--standby", {"-1", "10001", "x", ""}},
      {"--queue-limit", {"0", "-5", "10000001", "x", "1.5", "99999999999999999999", ""}},
      {"--max-instances", {"0", "-1", "100001", "x", ""}},
      {"--concurrency", {"0", "-1", "10001", "x", ""}},
      {"--max-retries", {"-1", "11", "x", ""}},
      {"--client-queue-limit", {"0", "-1", "1000001", "x", ""}},
      {"--total-queue-limit", {"0", "-1", "10000001", "x", ""}},
      {"--standby-max", {"-1", "10001", "0", "x", ""}},
      {"--standby-memory", {"5", "%", "-1%", "101%", "nan%", "five%", "5 %", ""}},
      {"--slice", {"0", "999us", "1", ""}},
      {"--waiting-grace", {"0", "999us", "1", ""}},
      {"--busy-poll", {"50", "-1us", "1001us", ""}},
      {"--loader-timeout", {"0", "-1s", "5", ""}},
      {"--client-fd", {"x", "-1", "1.5", "99999999999", ""}},
      {"--ready-fd", {"x", "-1", "1.5", "99999999999", ""}},
  };
  for (const auto& [option, values] : wrong) {
    for (const std::string& value : values) {
      CAPTURE(option);
      CAPTURE(value);
      CHECK(has(mistake_of({option, value}), option));
    }
  }
}

TEST_CASE("limits too small to run anything are mistakes that name the least value") {
  CHECK(has(mistake_of({"--memory", "15MB"}), "at least 16MB"));
  CHECK(options({"--memory", "16MB"}).module_defaults.memory_bytes == std::uint64_t{16} << 20);
  CHECK(has(mistake_of({"--stretch", "999us"}), "at least 1ms"));
  CHECK(options({"--stretch", "1ms"}).module_defaults.stretch == 1ms);
  CHECK(has(mistake_of({"--timeout", "0"}), "--timeout"));
  CHECK(options({"--timeout", "1ns"}).module_defaults.timeout == 1ns);
  CHECK(has(mistake_of({"--clock-resolution", "0"}), "--clock-resolution"));
  CHECK(has(mistake_of({"--clock-resolution", "-1ms"}), "--clock-resolution"));
  CHECK(has(mistake_of({"--allow-eval", "*"}), "--allow-eval"));
  CHECK(has(mistake_of({"--allow-eval", "m@"}), "--allow-eval"));
}

TEST_CASE("an unknown option, a missing value and a word too many are mistakes") {
  CHECK(has(mistake_of({"--frobnicate"}), "--frobnicate"));
  CHECK(has(mistake_of({"--log-level", "chatty"}), "--log-level"));
  CHECK(has(mistake_of({"word"}), "word"));
  const Parsed parsed = parse({"--module", "m@1=m.js", "--timeout"});
  REQUIRE(std::holds_alternative<int>(parsed.outcome));
  CHECK(std::get<int>(parsed.outcome) == 2);
  CHECK(has(parsed.err, "--timeout"));
}

// --- help ----------------------------------------------------------------------------------------------------------

TEST_CASE("the help names every option, and asking for it is no mistake") {
  for (const char* flag : {"--help", "-h"}) {
    const Parsed parsed = parse({flag});
    REQUIRE(std::holds_alternative<int>(parsed.outcome));
    CHECK(std::get<int>(parsed.outcome) == 0);
    CHECK(parsed.err.empty());
    for (const char* option : {"--socket ",
                               "--socket-mode",
                               "--modules",
                               "--module ",
                               "--max-workers",
                               "--max-clients",
                               "--standby",
                               "--queue-limit",
                               "--client-queue-limit",
                               "--total-queue-limit",
                               "--max-instances",
                               "--concurrency",
                               "--max-retries",
                               "--slice",
                               "--waiting-grace",
                               "--busy-poll",
                               "--config",
                               "--standby-max",
                               "--standby-memory",
                               "--allow-loader",
                               "--loader-timeout",
                               "--timeout",
                               "--stretch",
                               "--memory",
                               "--idle-timeout",
                               "--shutdown-timeout",
                               "--log-level",
                               "--worker",
                               "--ready-fd",
                               "--client-fd",
                               "--version",
                               "--help"}) {
      CHECK_MESSAGE(has(parsed.out, option), option);
    }
  }
}

TEST_CASE("the version is one line, and asking for it is no mistake") {
  const Parsed parsed = parse({"--version"});
  REQUIRE(std::holds_alternative<int>(parsed.outcome));
  CHECK(std::get<int>(parsed.outcome) == 0);
  CHECK(parsed.out == "holdfastd " HOLDFAST_VERSION "\n");
  CHECK(parsed.err.empty());
}

TEST_CASE("flags of the sandbox") {
  const Options plain = options({});
  CHECK(plain.profile == sandbox::Profile::jit);
  CHECK(plain.isolation == Isolation::fork);
  CHECK(plain.zygote_forks == 1000);
  CHECK(plain.zygote_age == 10min);
  CHECK(plain.cpu_limit == 1h);
  CHECK(plain.restrict_speculation);
  CHECK(plain.allow_missing.empty());

  const Options set = options({"--profile", "strict", "--isolation", "exec", "--zygote-forks", "5", "--zygote-age",
                               "30s", "--cpu-limit", "2m", "--speculation", "free", "--allow-missing", "namespaces",
                               "--allow-missing", "root"});
  CHECK(set.profile == sandbox::Profile::strict);
  CHECK(set.isolation == Isolation::exec);
  CHECK(set.zygote_forks == 5);
  CHECK(set.zygote_age == 30s);
  CHECK(set.cpu_limit == 2min);
  CHECK_FALSE(set.restrict_speculation);
  CHECK(set.allow_missing == std::vector<std::string>{"namespaces", "root"});

  for (const auto& [flag, value] :
       {std::pair{"--profile", "lax"}, std::pair{"--isolation", "thread"}, std::pair{"--zygote-forks", "0"},
        std::pair{"--zygote-age", "10ms"}, std::pair{"--cpu-limit", "1s"}, std::pair{"--speculation", "maybe"},
        std::pair{"--allow-missing", "walls"}}) {
    CAPTURE(flag);
    const Parsed parsed = parse({flag, value, "--module", "m@1=m.js"});
    CHECK(std::get<int>(parsed.outcome) == 2);
    CHECK(parsed.err.find(flag) != std::string::npos);
  }
}

}  // namespace
}  // namespace holdfast::supervisor
