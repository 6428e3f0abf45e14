// `holdfast doctor`, and starts on hosts where a layer of the sandbox cannot be set up.
#include <set>
#include <string>
#include <unistd.h>

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
