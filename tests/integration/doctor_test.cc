// `holdfast doctor`, and starts on hosts where a layer of the sandbox cannot be set up.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/confine_program.h"
#include "tests/support/program.h"
#include "tests/support/skips.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// Checks that the report shows every layer as active, as far as this host offers it.
void check_report(const Finished& finished) {
  CHECK(finished.errors == "");
  CHECK(finished.status == 0);
  std::set<std::string> layers;
  for (const json& finding : json::parse(finished.output)) {
    CAPTURE(finding.dump());
    const std::string state = finding["state"];
    const std::string layer = finding["layer"];
    layers.insert(layer);
    if (layer == "verdict") {
      CHECK(finding["starts"] == true);
      CHECK(finding["exit_code"] == 0);
    }
    const bool depends_on_host =
        layer == "speculation" || layer == "code" || finding["aspect"] == "descriptors from clients";
    CHECK((state == "active" || (state == "unavailable" && depends_on_host)));
  }
  CHECK(layers == std::set<std::string>{"namespaces", "root", "privileges", "descriptors", "process", "limits",
                                        "speculation", "code", "seccomp", "supervisor", "v8", "verdict"});
}

TEST_CASE("holdfast doctor finds every layer active, in each profile and isolation") {
  for (const std::string profile : {"jit", "strict"}) {
    for (const std::string isolation : {"fork", "exec"}) {
      CAPTURE(profile);
      CAPTURE(isolation);
      check_report(run({command_program(), "doctor", "--json", "--profile", profile, "--isolation", isolation}));
    }
  }
}

TEST_CASE("holdfast doctor tells an unprivileged user the same" * needs_root()) {
  const std::string command = startable_by_nobody(command_program());
  // It would look for the supervisor where nobody can start none.
  if (command != command_program()) return skip_this_test("nobody cannot start the programs where they are");
  check_report(run({command, "doctor", "--json"}, {.as_nobody = true}));
}

// The report's rows for the engine's features: state and finding of each.
std::map<std::string, std::pair<std::string, std::string>> engine_rows(const Finished& finished) {
  std::map<std::string, std::pair<std::string, std::string>> rows;
  for (const json& finding : json::parse(finished.output)) {
    if (finding["layer"] == "v8") rows[finding["aspect"]] = {finding["state"], finding["seen"]};
  }
  return rows;
}

constexpr const char* kFeatures[] = {"hot loop", "regular expression", "Intl", "random bytes",
                                     "digest",   "compression",        "timer"};

TEST_CASE("holdfast doctor calls each feature of the engine in a locked worker") {
  for (const std::string profile : {"jit", "strict"}) {
    CAPTURE(profile);
    auto rows = engine_rows(run({command_program(), "doctor", "--json", "--profile", profile}));
    for (const char* feature : kFeatures) CHECK(rows[feature].first == "active");
    CHECK(rows.contains("WebAssembly") == (profile == "jit"));
    CHECK(rows.contains("no WebAssembly") == (profile == "strict"));
  }
}

TEST_CASE("holdfast doctor says which feature of the engine does not run, and why") {
  // A supervisor whose workers run in another profile than doctor asks for.
  const TemporaryFolder folder;
  const auto supervisor =
      folder.write("supervisor",
                   "#!/bin/sh\nfor a; do shift; [ \"$a\" = jit ] && a=strict; set -- \"$@\" \"$a\"; "
                   "done\nexec " +
                       supervisor_program() + " \"$@\"\n");
  std::filesystem::permissions(supervisor, std::filesystem::perms(0755));
  std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
  const Finished finished = run({command_program(), "doctor", "--json", "--profile", "jit"},
                                {.environment = {"HOLDFAST_SUPERVISOR=" + supervisor.string()}});
  CHECK(finished.status == 1);
  auto rows = engine_rows(finished);
  for (const char* feature : kFeatures) CHECK(rows[feature].first == "active");
  CHECK(rows["WebAssembly"].first == "missing");
  CHECK(contains(rows["WebAssembly"].second, "ReferenceError: WebAssembly is not defined"));
}

TEST_CASE("holdfast doctor shows what is off by setting") {
  const Finished finished = run({command_program(), "doctor", "--speculation", "free"});
  CHECK(finished.status == 0);
  CHECK(contains(finished.output, "LAYER"));
  CHECK_FALSE(contains(finished.output, "unavailable  vulnerable"));
}

// A command line that imitates a host on which no user namespace can be made.
std::vector<std::string> without_namespaces(const std::string& command) {
  return {"/usr/bin/unshare", "--user", "--map-root-user",
          "/bin/sh",          "-c",     "echo 0 > /proc/sys/user/max_user_namespaces; " + command};
}

TEST_CASE("a layer that is missing stops the start with the reason, unless it is allowed to be missing") {
  const TemporaryFolder folder;
  folder.write("module-1.js", "exports.f = () => 1;");
  const std::string start = supervisor_program() + " --worker " + worker_program() + " --socket " +
                            (folder.path() / "holdfast.sock").string() + " --modules " + folder.path().string();
  const Finished refused = run(without_namespaces("exec " + start));
  CHECK(refused.status == 1);
  CHECK(contains(refused.errors, "critical supervisor: setgroups(none): Operation not permitted"));
  const Finished still_refused = run(without_namespaces("exec " + start + " --allow-missing supervisor"));
  CHECK(still_refused.status == 1);
  CHECK(contains(still_refused.errors, "cannot start workers: namespaces: "));

  // If these layers may be missing, holdfastd starts, reports what is missing, and ends when it is told to.
  Program allowed(without_namespaces("exec " + start + " --allow-missing supervisor --allow-missing namespaces " +
                                     "--allow-missing root"));
  CHECK(eventually([&] { return contains(allowed.errors(), "listens on"); }));
  CHECK(contains(allowed.errors(), "--allow-missing namespaces"));
  allowed.signal(SIGTERM);
  CHECK(allowed.wait() == 0);
}

TEST_CASE("holdfast doctor names what is missing, and what to change, and exits with 1") {
  const Finished missing = run(without_namespaces(command_program() + " doctor"));
  CHECK(missing.status == 1);
  CHECK(contains(missing.output, "missing"));
  CHECK(contains(missing.output, "user.max_user_namespaces"));
  const Finished named = run({supervisor_program(), "--module", "m@1=/dev/null", "--allow-missing", "walls"});
  CHECK(named.status == 2);
  CHECK(contains(named.errors, "walls"));
}

json verdict_of(const Finished& finished) { return json::parse(finished.output).back(); }

// The states of all rows except the verdict.
std::multiset<std::string> states_of(const Finished& finished) {
  std::multiset<std::string> states;
  for (const json& finding : json::parse(finished.output)) {
    if (finding["layer"] != "verdict") states.insert(finding["state"].get<std::string>());
  }
  return states;
}

std::vector<std::string> confined(std::vector<std::string> how, const std::vector<std::string>& command) {
  how.insert(how.begin(), confine_program());
  how.insert(how.end(), command.begin(), command.end());
  return how;
}

TEST_CASE("to root without CAP_SYS_PTRACE, as in a container, what works is unknown and not missing" * needs_root()) {
  // Drops CAP_SYS_PTRACE and CAP_SYS_ADMIN.
  const Finished found = run(confined({"--drop=19", "--drop=21"}, {command_program(), "doctor", "--json"}));
  CHECK(found.status == 0);
  CHECK(states_of(found).count("missing") == 0);
  CHECK(states_of(found).count("unknown") > 0);
  const json verdict = verdict_of(found);
  CHECK(verdict["starts"] == true);
  CHECK(verdict["exit_code"] == 0);
  CHECK(contains(verdict["advice"].get<std::string>(), "CAP_SYS_PTRACE"));
  CHECK_FALSE(contains(found.output, "as root"));
}

TEST_CASE("where a seccomp filter refuses namespaces, doctor, run and holdfastd say the same") {
  const std::vector<std::string> refused = {"--refuse=unshare", "--refuse=mount", "--refuse=pivot_root"};
  const Finished found = run(confined(refused, {command_program(), "doctor", "--json"}));
  CHECK(found.status == 1);
  CHECK(found.errors == "");
  const json verdict = verdict_of(found);
  CHECK(verdict["starts"] == false);
  CHECK(verdict["exit_code"] == 1);
  const std::string what = "namespaces: unshare(user, mount, net, ipc, uts, cgroup, pid): Operation not permitted";
  CHECK(contains(verdict["verdict"].get<std::string>(), what));
  const std::string advice = verdict["advice"];
  CHECK(contains(advice, "a seccomp filter refuses it"));

  const std::string calculator = examples_folder() / "calculator.js";
  const Finished ran = run(confined(refused, {command_program(), "run", calculator, "add", R"({"a":1,"b":2})"}));
  CHECK(ran.status == 3);
  CHECK(ran.errors == "error: unavailable: cannot start workers: " + what + "; " + advice + "\n");

  const TemporaryFolder folder;
  const Finished started = run(confined(refused, {supervisor_program(), "--modules", folder.path(), "--worker",
                                                  worker_program(), "--socket", folder.path() / "s.sock"}));
  CHECK(started.status == 1);
  CHECK(contains(started.errors, what + "; " + advice));
}

TEST_CASE("where namespaces may be missing and the root may not, the message says that both must be allowed") {
  const TemporaryFolder folder;
  const Finished started = run(
      confined({"--refuse=unshare"}, {supervisor_program(), "--modules", folder.path(), "--worker", worker_program(),
                                      "--socket", folder.path() / "s.sock", "--allow-missing", "namespaces"}));
  CHECK(started.status == 1);
  CHECK(contains(started.errors, "--allow-missing namespaces --allow-missing root"));
}

TEST_CASE("holdfast doctor says which layers holdfastd starts without if they may be missing") {
  const Finished found = run(confined(
      {"--refuse=unshare"}, {command_program(), "doctor", "--allow-missing", "namespaces", "--allow-missing", "root"}));
  CHECK(found.status == 0);
  CHECK(contains(found.output, "\nverdict: holdfastd starts here, without: namespaces, root (--allow-missing)"));
}

TEST_CASE("nobody in a user namespace where root has no id: that a worker is not dumpable is unknown, not missing" *
          needs_root()) {
  const std::string command = startable_by_nobody(command_program());
  if (command != command_program()) return skip_this_test("nobody cannot start the programs where they are");
  const Finished found =
      run({"/usr/bin/unshare", "--user", "--map-current-user", command, "doctor", "--json"}, {.as_nobody = true});
  CHECK(found.status == 0);
  CHECK(states_of(found).count("missing") == 0);
  CHECK(states_of(found).count("unknown") == 1);
}

TEST_CASE("where /proc is of another pid namespace, nothing is read from another's process" * needs_root()) {
  const Finished found = run({"/usr/bin/unshare", "--pid", "--fork", command_program(), "doctor", "--json"});
  CHECK(found.status == 0);
  CHECK(states_of(found).count("missing") == 0);
  CHECK(states_of(found).count("unknown") > 0);
}

}  // namespace
}  // namespace holdfast::test
