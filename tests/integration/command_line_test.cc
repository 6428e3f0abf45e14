// The `holdfast` command as a user runs it.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <string_view>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/raw_connection.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string calculator() { return examples_folder() / "calculator.js"; }

Finished holdfast(std::vector<std::string> arguments, const ProgramOptions& options = {}) {
  arguments.insert(arguments.begin(), command_program());
  return run(arguments, options);
}

TEST_CASE("holdfast run prints the function's result as JSON and exits with 0") {
  const Finished done = holdfast({"run", calculator(), "add", R"({"a":1,"b":2})"});
  CHECK(done.output == "3\n");
  CHECK(done.errors == "");
  CHECK(done.status == 0);
}

TEST_CASE("holdfast run leaves no process and no file behind") {
  adopt_orphans();
  const TemporaryFolder folder;
  const std::string everywhere = folder.path();
  const ProgramOptions options{
      .environment = {"TMPDIR=" + everywhere, "HOME=" + everywhere, "XDG_RUNTIME_DIR=" + everywhere}};
  CHECK(holdfast({"run", calculator(), "add", R"({"a":1,"b":2})"}, options).status == 0);
  CHECK(holdfast({"run", calculator(), "divide", R"({"a":1,"b":0})"}, options).status == 1);
  CHECK(fs::is_empty(folder.path()));
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
}

TEST_CASE("holdfast run that is killed leaves no process behind") {
  adopt_orphans();
  const TemporaryFolder folder;
  const auto file = folder.write("sleeper.js", "exports.sleep = () => new Promise(() => console.error('asleep'));");
  Program sleeping({command_program(), "run", file, "sleep"});
  REQUIRE(eventually([&] { return contains(sleeping.errors(), "asleep"); }));
  sleeping.signal(SIGKILL);
  CHECK(sleeping.wait() == 128 + SIGKILL);
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
}

TEST_CASE("Ctrl-C cancels the call of holdfast run, says so and exits with 130") {
  adopt_orphans();
  const TemporaryFolder folder;
  const auto file = folder.write("sleeper.js", "exports.sleep = () => new Promise(() => console.error('asleep'));");
  Program sleeping({command_program(), "run", file, "sleep"});
  REQUIRE(eventually([&] { return contains(sleeping.errors(), "asleep"); }));
  sleeping.signal(SIGINT);
  CHECK(sleeping.wait() == 130);
  CHECK(contains(sleeping.errors(), "error: cancelled"));
  CHECK(eventually([] { return descendants_of(::getpid()).empty(); }));
}

TEST_CASE("an exception of the function is shown on standard error with its stack and the exit code is 1") {
  const Finished done = holdfast({"run", calculator(), "divide", R"({"a":1,"b":0})"});
  CHECK(done.status == 1);
  CHECK(done.output == "");
  CHECK(contains(done.errors, "error: exception: RangeError: cannot divide 1 by zero\n"));
  CHECK(contains(done.errors, "calculator.js:14:"));
}

TEST_CASE("a command line that cannot be carried out exits with 2 and calls nothing") {
  CHECK(holdfast({"run", calculator(), "add", "{not json"}).status == 2);
  CHECK(holdfast({"run", calculator(), "add", "--args", "{}"}).status == 2);
  CHECK(holdfast({"run", calculator() + ".missing", "add"}).status == 2);
  CHECK(holdfast({"frobnicate"}).status == 2);
}

TEST_CASE("a call that was stopped exits with 3") {
  const TemporaryFolder folder;
  const auto file = folder.write("spinner.js", "exports.spin = () => { while (true) {} };");
  const Finished done = holdfast({"run", file, "spin", "--stretch", "100ms"});
  CHECK(done.status == 3);
  CHECK(contains(done.errors, "error: cpu_exceeded"));
}

TEST_CASE("a supervisor that is not there exits with 3 and is named") {
  const TemporaryFolder folder;
  const std::string socket = folder.path() / "nobody.sock";
  const Finished done = holdfast({"invoke", "calculator@v1.0.0", "add", "--socket", socket});
  CHECK(done.status == 3);
  CHECK(contains(done.errors, "error: unavailable"));
  CHECK(contains(done.errors, socket));
}

TEST_CASE("--json prints a result as one JSON object") {
  const Finished done = holdfast({"run", calculator(), "add", R"({"a":1,"b":2})", "--json"});
  CHECK(done.status == 0);
  const json printed = json::parse(done.output);
  CHECK(printed.at("ok") == true);
  CHECK(printed.at("result") == 3);
  CHECK(printed.at("usage").at("cpu") >= 0);
}

TEST_CASE("--usage prints the resource usage on standard error and leaves the result unchanged") {
  const Finished done = holdfast({"run", calculator(), "add", R"({"a":1,"b":2})", "--usage"});
  CHECK(done.status == 0);
  CHECK(done.output == "3\n");
  CHECK(done.errors.starts_with("usage: "));
  CHECK(done.errors.find('\n') == done.errors.size() - 1);
}

TEST_CASE("--json prints an error as one JSON object with every field, on standard output") {
  const Finished done = holdfast({"run", calculator(), "divide", R"({"a":1,"b":0})", "--json"});
  CHECK(done.status == 1);
  CHECK(done.errors == "");
  const json printed = json::parse(done.output);
  CHECK(printed.at("ok") == false);
  const json& error = printed.at("error");
  CHECK(error.at("code") == "exception");
  CHECK(error.at("message") == "RangeError: cannot divide 1 by zero");
  CHECK(contains(error.at("stack").get<std::string>(), "calculator.js:14:"));
  CHECK(error.at("retryable") == false);
  CHECK(error.at("executed") == "yes");
  CHECK(error.at("detail") == "");
  CHECK(error.at("retry_after_ms") == 0);
}

TEST_CASE("own properties of an error are shown after the stack and are data with --json") {
  const TemporaryFolder folder;
  const auto file = folder.write("quota.js", R"js(
      exports.f = () => { throw Object.assign(new Error('too many'), { code: 'E_QUOTA', status: 429 }); };
  )js");
  CHECK(contains(holdfast({"run", file, "f"}).errors, ") { code: 'E_QUOTA', status: 429 }\n"));
  const json printed = json::parse(holdfast({"run", file, "f", "--json"}).output);
  CHECK(printed.at("error").at("properties") == json::parse(R"({"code": "E_QUOTA", "status": 429})"));
}

TEST_CASE("without a function, the default export is called") {
  const TemporaryFolder folder;
  const auto file =
      folder.write("one.js", "module.exports = (...values) => values.length > 2 ? values.slice(0, -1) : values[0];");
  CHECK(holdfast({"run", file}).output == "null\n");
  CHECK(holdfast({"run", file, "--args", "[1,2]"}).output == "[1,2]\n");
  CHECK(holdfast({"run", file, "default", "7"}).output == "7\n");
  const Finished payload_alone = holdfast({"run", file, R"({"a":1})"});
  CHECK(payload_alone.status == 2);
  CHECK(contains(payload_alone.errors, R"(FUNC is {"a":1}, which looks like a payload)"));
  Daemon daemon({.modules = {{"one", "module.exports = () => 'called';"}}});
  CHECK(holdfast({"invoke", "one@v1", "--socket", daemon.socket_path()}).output == "\"called\"\n");
}

TEST_CASE("holdfast run shows what is logged at load and failures together with the answer") {
  const TemporaryFolder folder;
  const auto file = folder.write("late.js", R"js(
      console.log('at load');
      exports.f = () => { console.log('in the call'); Promise.reject(new Error('lost')); return 1; };
  )js");
  const Finished done = holdfast({"run", file, "f"});
  CHECK(done.status == 0);
  CHECK(done.output == "1\n");
  CHECK(occurrences(done.errors, "[info] at load\n") == 1);
  CHECK(occurrences(done.errors, "[info] in the call\n") == 1);
  CHECK(occurrences(done.errors, "[error] unhandled promise rejection: Error: lost\n") == 1);
}

TEST_CASE("the error about a TypeScript or JSX file says how to bundle it") {
  const TemporaryFolder folder;
  const Finished typed =
      holdfast({"run", folder.write("sum.ts", "export const add = (a: number): number => a;"), "add"});
  CHECK(typed.status == 1);
  CHECK(contains(typed.errors, "npx esbuild sum.ts --bundle --format=esm --target=es2022 --outfile=sum-v1.mjs\n"));
  const Finished element = holdfast({"run", folder.write("page.jsx", "export const page = () => <p/>;"), "page"});
  CHECK(contains(element.errors,
                 "npx esbuild page.jsx --bundle --format=esm --target=es2022 --outfile=page-v1.mjs --jsx=automatic"));
  CHECK(contains(holdfast({"run", folder.write("page.js", "export const page = () => <p/>;"), "page"}).errors,
                 "--loader:.js=jsx"));
  CHECK_FALSE(
      contains(holdfast({"run", folder.write("wrong.js", "exports.f = () => 1 +* 2;"), "f"}).errors, "esbuild"));
  CHECK(holdfast({"run", folder.write("plain.ts", "exports.f = () => 1;"), "f"}).output == "1\n");
}

TEST_CASE("--args passes a JSON array's elements as arguments") {
  const TemporaryFolder folder;
  const auto file = folder.write("list.js", "exports.join = (...values) => values.slice(0, -1).join('-');");
  CHECK(holdfast({"run", file, "join", "--args", R"([1,"two",3])"}).output == "\"1-two-3\"\n");
}

TEST_CASE("the payload - is read from standard input") {
  const Finished done = holdfast({"run", calculator(), "add", "-"}, {.input = R"({"a":40,"b":2})"});
  CHECK(done.output == "42\n");
}

TEST_CASE("holdfast run --env sets variables and inherits those that are named without a value") {
  const TemporaryFolder folder;
  const auto file = folder.write("environment.js", "exports.show = (_, { env }) => env;");
  const Finished done =
      holdfast({"run", file, "show", "--env", "GIVEN=\"a\\b\" = \t\x7f\xc3\xa9", "-e", "TAKEN", "-e", "EMPTY="},
               {.environment = {"TAKEN=over", "OTHER=not"}});
  CHECK(json::parse(done.output) == json{{"EMPTY", ""}, {"GIVEN", "\"a\\b\" = \t\x7f\xc3\xa9"}, {"TAKEN", "over"}});
  for (const char* wrong : {"1A=2", "=2", "NOT_THERE", "A=\xff"}) {
    CAPTURE(std::string_view(wrong));
    const Finished refused = holdfast({"run", file, "show", "--env", wrong});
    CHECK(refused.status == 2);
    CHECK(contains(refused.errors, "--env: "));
  }
}

TEST_CASE("holdfast run runs modules as holdfastd with the flags of these names does") {
  const TemporaryFolder folder;
  const auto file = folder.write("kinds.js", R"js(
      exports.webAssembly = () => typeof WebAssembly;
      exports.map = () => new Map();
      exports.evaluate = () => eval('1 + 1');
  )js");
  CHECK(holdfast({"run", file, "webAssembly"}).output == "\"object\"\n");
  CHECK(holdfast({"run", file, "webAssembly", "--profile", "strict"}).output == "\"undefined\"\n");
  CHECK(contains(holdfast({"run", file, "map"}).errors, "not_serializable"));
  CHECK(holdfast({"run", file, "map", "--results", "lenient"}).output == "{}\n");
  CHECK(contains(holdfast({"run", file, "evaluate"}).errors, "eval"));
  CHECK(holdfast({"run", file, "evaluate", "--allow-eval"}).output == "2\n");
}

TEST_CASE("a missing payload is null") {
  const TemporaryFolder folder;
  const auto file = folder.write("echo.js", "exports.echo = (payload) => ({ payload });");
  CHECK(holdfast({"run", file, "echo"}).output == "{\"payload\":null}\n");
}

TEST_CASE("holdfast invoke calls a running supervisor, and holdfast ps shows the worker that it used") {
  Daemon daemon({.modules = {{"echo", "exports.echo = (payload) => payload;"}}});
  const std::string socket = daemon.socket_path();
  CHECK(holdfast({"invoke", "echo@v1", "echo", R"(["x"])", "--socket", socket}).output == "[\"x\"]\n");

  const json listed = json::parse(holdfast({"ps", "--json", "--socket", socket}).output);
  const auto echo =
      std::find_if(listed.begin(), listed.end(), [](const json& row) { return row.at("module") == "echo"; });
  REQUIRE(echo != listed.end());
  CHECK(echo->at("version") == "v1");
  CHECK(echo->at("state") == "idle");
  CHECK(echo->at("calls") == 1);
  CHECK(echo->at("calls_in_flight") == 0);
  CHECK(echo->at("memory") > 0);
  CHECK(echo->at("cpu") > 0);
  CHECK(echo->at("age") >= 0);
  CHECK(is_running(echo->at("pid").get<pid_t>()));

  const Finished table = holdfast({"ps", "--socket", socket});
  CHECK(table.status == 0);
  CHECK(contains(table.output, "echo"));
  daemon.stop();
}

TEST_CASE("holdfast stats shows the supervisor as a table and as JSON") {
  Daemon daemon({.modules = {}, .flags = {"--max-workers", "7", "--standby", "0"}});
  const std::string socket = daemon.socket_path();
  const json told = json::parse(holdfast({"stats", "--json", "--socket", socket}).output);
  CHECK(told.at("totals").at("max_workers") == 7);
  CHECK(told.at("totals").at("standby_target") == 0);
  CHECK(told.at("totals").at("clients") == 1);
  CHECK(told.at("modules").is_array());

  const Finished table = holdfast({"stats", "--socket", socket});
  CHECK(table.status == 0);
  CHECK(table.output.starts_with("MODULE"));
  CHECK(contains(table.output, "0 of 7 workers"));
  CHECK(holdfast({"stats", "no/module", "--socket", socket}).status == 2);
  CHECK(holdfast({"stats", "module@", "--socket", socket}).status == 2);
}

TEST_CASE("HOLDFAST_SOCKET names the supervisor where no flag does") {
  Daemon daemon({.modules = {{"echo", "exports.echo = (payload) => payload;"}}});
  const ProgramOptions options{.environment = {"HOLDFAST_SOCKET=" + daemon.socket_path()}};
  CHECK(holdfast({"invoke", "echo@v1", "echo", "7"}, options).output == "7\n");
}

TEST_CASE("control characters in a result and in an error reach no terminal") {
  const TemporaryFolder folder;
  const auto file = folder.write("rude.js", R"js(
      exports.result = () => '\u007f\u009b31m';
      exports.error = () => { throw new Error('\u001b[2J\u009b31m'); };
  )js");
  CHECK(holdfast({"run", file, "result"}).output == "\"\\u007f\\u009b31m\"\n");
  const Finished failed = holdfast({"run", file, "error"});
  CHECK_FALSE(contains(failed.errors, "\x1b"));
  CHECK_FALSE(contains(failed.errors, "\xc2\x9b"));
}

TEST_CASE("a mistyped command or option exits with 2 and a suggestion") {
  const auto errors_of = [](std::vector<std::string> arguments) {
    const Finished done = holdfast(std::move(arguments));
    CHECK(done.status == 2);
    CHECK(done.output == "");
    return done.errors;
  };
  CHECK(errors_of({"runn"}) ==
        "error: there is no command \"runn\"; did you mean run?\n`holdfast --help` tells more.\n");
  CHECK(contains(errors_of({"frobnicate"}), "there is no command \"frobnicate\"\n"));
  CHECK(contains(errors_of({"help", "stat"}), "there is no command \"stat\"; did you mean stats?"));
  CHECK(errors_of({"run", calculator(), "add", "--timeot", "5s"}) ==
        "error: holdfast run has no option \"--timeot\"; did you mean --timeout?\n`holdfast run --help` tells more.\n");
  CHECK(contains(errors_of({"invoke", "m@1", "f", "--encodng=json"}), "did you mean --encoding?"));
  CHECK(contains(errors_of({"run", calculator(), "add", "--profile", "strikt"}), "did you mean strict?"));
  CHECK(contains(errors_of({"--socke"}), "holdfast has no option"));
  CHECK(contains(errors_of({}), "a command is required: run, "));

  const Finished daemon = run({supervisor_program(), "--moduels", "/"});
  CHECK(daemon.status == 2);
  CHECK(daemon.errors ==
        "error: there is no option \"--moduels\"; did you mean --modules?\n`holdfastd --help` tells more.\n");
  CHECK(contains(run({supervisor_program(), "--modules", "/", "--isolation", "frok"}).errors, "did you mean fork?"));
}

TEST_CASE("holdfast help COMMAND is the same as --help and -V is --version everywhere") {
  CHECK(holdfast({"help"}).output == holdfast({"--help"}).output);
  CHECK(holdfast({"help"}).status == 0);
  for (const char* command : {"run", "invoke", "ps", "stats", "logs", "load", "doctor", "bench"}) {
    CAPTURE(std::string_view(command));
    const Finished help = holdfast({"help", command});
    CHECK(help.status == 0);
    CHECK(help.output == holdfast({command, "--help"}).output);
    for (const char* noise : {"->", " in [", ":{", ":value", "UINT", "FLOAT"})
      CHECK_FALSE(contains(help.output, noise));
    CHECK(holdfast({command, "-V"}).output == holdfast({"--version"}).output);
  }
  CHECK(contains(holdfast({"ps", "--help"}).output, "line  "));
  for (const std::string& program : {command_program(), supervisor_program(), worker_program()}) {
    const Finished version = run({program, "-V"});
    CHECK(version.status == 0);
    CHECK(version.output == run({program, "--version"}).output);
    CHECK(version.output.starts_with("holdfast"));
  }
  const Finished daemon = run({supervisor_program(), "--help"});
  for (const char* noise : {"->", " in [", ":{", ":value", "UINT", ":DIR"}) CHECK_FALSE(contains(daemon.output, noise));
  CHECK(contains(daemon.output, "--isolation fork|exec=fork"));
}

TEST_CASE("holdfast stats and holdfast logs say so if a module is unknown") {
  Daemon daemon({.modules = {{"quiet", "exports.f = () => 1;"}}});
  const std::string socket = daemon.socket_path();
  for (const char* command : {"stats", "logs"}) {
    for (const char* name : {"nosuch", "nosuch@v1", "quiet@v2"}) {
      const Finished done = holdfast({command, name, "--socket", socket});
      CHECK(done.status == 1);
      CHECK(done.output == "");
      CHECK(contains(done.errors, name));
    }
  }
  CHECK(holdfast({"invoke", "quiet@v1", "f", "--socket", socket}).output == "1\n");
  CHECK(holdfast({"stats", "quiet", "--socket", socket}).status == 0);
  const Finished logs = holdfast({"logs", "quiet", "--socket", socket});
  CHECK(logs.status == 0);
  CHECK(logs.errors == "note: no lines of module quiet are kept\n");
  CHECK(holdfast({"logs", "--socket", socket}).errors == "");
}

TEST_CASE("the error about a socket that refuses connections says what to do") {
  const TemporaryFolder folder;
  const auto errors_of = [](const std::string& socket, const ProgramOptions& options = {}) {
    const Finished done = run({command_program(), "ps", "--socket", socket, "--wait", "0s"}, options);
    CHECK(done.status == 3);
    return done.errors;
  };
  CHECK(contains(errors_of(folder.path() / "none"), "No such file or directory; is holdfastd running"));
  CHECK(contains(errors_of(folder.write("file", "")), "it is not a socket"));

  Daemon daemon({.modules = {}});
  if (::geteuid() == 0 && !is_for_nobody() && startable_by_nobody(command_program()) == command_program()) {
    fs::permissions(daemon.folder()->path(), fs::perms(0755));
    const std::string refused = errors_of(daemon.socket_path(), {.as_nobody = true});
    CHECK(contains(refused, "Permission denied; the socket belongs to uid 0 and gid 0 with mode 0600"));
    CHECK(contains(refused, "sudo"));
    fs::permissions(daemon.folder()->path(), fs::perms(0700));
    CHECK(contains(errors_of(daemon.socket_path(), {.as_nobody = true}), "may not enter a directory"));
  }
  daemon.signal(SIGKILL);
  daemon.wait();
  CHECK(contains(errors_of(daemon.socket_path()), "Connection refused; no holdfastd listens there any more"));
}

TEST_CASE("a command waits a moment for a supervisor that is about to listen") {
  const TemporaryFolder folder;
  folder.write("echo-v1.js", "exports.echo = (payload) => payload;");
  const std::string socket = folder.path() / "s.sock";
  Program call({command_program(), "invoke", "echo@v1", "echo", "7", "--socket", socket, "--wait", "1h"});
  Program daemon({supervisor_program(), "--modules", folder.path(), "--socket", socket, "--worker", worker_program()});
  CHECK(call.wait() == 0);
  CHECK(call.output() == "7\n");
  daemon.signal(SIGTERM);
  CHECK(daemon.wait() == 0);
}

TEST_CASE("an HTTP client at the socket is told that it speaks HTTP, and so is the log") {
  Daemon daemon({.modules = {}});
  RawConnection connection(daemon.socket_path());
  connection.send("GET /modules HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(contains(connection.read_to_end(), "this looks like HTTP"));
  CHECK(daemon.logged("this looks like HTTP"));
  daemon.stop();
}

TEST_CASE("numbers beyond a double are taken from the command line as JSON.parse takes them") {
  const TemporaryFolder folder;
  const auto file = folder.write("kinds.js", "exports.kinds = ({ n }) => String(n);");
  CHECK(holdfast({"run", file, "kinds", R"({"n":1e400})"}).output == "\"Infinity\"\n");
  CHECK(holdfast({"run", file, "kinds", "--args", R"([{"n":-1e400}])"}).output == "\"-Infinity\"\n");
  CHECK(holdfast({"run", file, "kinds", R"({"n":1e400x})"}).status == 2);
}

TEST_CASE("holdfastd and the worker program refuse nonsense with exit status 2") {
  CHECK(run({supervisor_program()}).status == 2);
  CHECK(run({supervisor_program(), "--modules", "/", "--memory", "1MB"}).status == 2);
  CHECK(run({supervisor_program(), "--modules", "/", "--stretch", "soon"}).status == 2);
  CHECK(run({worker_program()}).status == 2);
}

TEST_CASE("a supervisor whose worker cannot start ends with exit status 1 and says why") {
  const TemporaryFolder folder;
  const Finished done = run({supervisor_program(), "--modules", folder.path(), "--socket", folder.path() / "s.sock",
                             "--worker", folder.path() / "missing"});
  CHECK(done.status == 1);
  CHECK(contains(done.errors, "cannot start workers"));
  CHECK(contains(done.errors, (folder.path() / "missing").string()));
  CHECK(fs::is_empty(folder.path()));
}

}  // namespace
}  // namespace holdfast::test
