// `holdfast doctor`, and starts on hosts where a layer of the sandbox cannot be set up.
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/as_nobody.h"
#include "tests/support/calls.h"
#include "tests/support/program.h"

namespace holdfast::test {
namespace {

using nlohmann::json;

// Whether every layer is in place, as far as this host offers it.
void check_report(const Finished& finished) {
  CHECK(finished.errors == "");
  CHECK(finished.status == 0);
  std::set<std::string> layers;
  for (const json& finding : json::parse(finished.output)) {
    CAPTURE(finding.dump());
    const std::string state = finding["state"];
    const std::string layer = finding["layer"];
    layers.insert(layer);
    CHECK((state == "active" || (state == "unavailable" && (layer == "speculation" || layer == "code"))));
  }
  CHECK(layers == std::set<std::string>{"namespaces", "root", "privileges", "descriptors", "process", "limits",
                                        "speculation", "code", "seccomp", "supervisor", "v8"});
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

TEST_CASE("holdfast doctor tells an unprivileged user the same") {
  if (::geteuid() != 0) return;  // the test above was it
  const std::string command = startable_by_nobody(command_program());
  if (command != command_program()) return;  // it would look for the supervisor where nobody can start none
  check_report(run({command, "doctor", "--json"}, {.as_nobody = true}));
}

// What doctor says of each of the engine's features: its state, and what was seen.
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
  // A supervisor whose workers are of another profile than it was told.
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

// A host on which no user namespace can be made.
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

  // With these layers allowed to be missing it starts, says so, and ends when it is told to.
  const Finished allowed =
      run(without_namespaces("timeout --preserve-status -s TERM 2 " + start +
                             " --allow-missing supervisor --allow-missing namespaces --allow-missing root"));
  CHECK(allowed.status == 0);
  CHECK(contains(allowed.errors, "--allow-missing namespaces"));
  CHECK(contains(allowed.errors, "listens on"));
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

}  // namespace
}  // namespace holdfast::test
