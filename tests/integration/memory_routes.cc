#include "tests/integration/memory_routes.h"

#include <doctest/doctest.h>

#include "tests/support/calls.h"

namespace holdfast::test {

Module module_of(const std::vector<Route>& routes, const std::string& prologue) {
  std::string code = prologue;
  for (const Route& route : routes) {
    code += std::string("exports.") + route.name + " = async (payload) => { const all = []; try { " + route.body +
            " } catch (error) { return error.name; } return 'done'; };\n";
  }
  return {"glutton", code + "exports.ping = () => 'pong';\n"};
}

namespace {

std::string end_of(const ipc::Answer& answer) {
  const std::string result = outcome(answer);
  return result.starts_with('"') ? result.substr(1, result.size() - 2) : code_of(answer);
}

}  // namespace

void check_routes(const std::vector<Route>& routes, const std::string& prologue,
                  const std::vector<std::string>& limits) {
  for (const std::string& limit : limits) {
    Daemon daemon(
        {.modules = {module_of(routes, prologue), {"bystander", "let calls = 0; exports.count = () => ++calls;"}},
         .flags = {"--memory", limit, "--stretch", "1m", "--timeout", "2m", "--idle-timeout", "1h"}});
    ipc::Client client = daemon.connect();
    REQUIRE(outcome(call(client, {"bystander", "count"})) == "1");
    const auto bystander = worker_of(client, "bystander").pid;
    for (const Route& route : routes) {
      const std::string name = limit + " " + route.name;
      CAPTURE(name);
      const auto answer = call(client, {"glutton", route.name});
      const std::string end = end_of(answer);
      CAPTURE(end);
      CHECK(contains(std::string(" ") + route.ends + " ", " " + end + " "));
      if (end == kOutOfMemory) {
        const auto error = error_of(answer);
        CHECK(error.executed == ipc::Executed::maybe);
        CHECK_FALSE(error.retryable);
        CHECK(contains(error.message, limit));
      }
      CHECK(outcome(call(client, {"glutton", "ping"})) == "\"pong\"");
    }
    CHECK(outcome(call(client, {"bystander", "count"})) == "2");
    CHECK(worker_of(client, "bystander").pid == bystander);
    daemon.stop();
  }
}

}  // namespace holdfast::test
