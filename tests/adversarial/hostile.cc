#include "tests/adversarial/hostile.h"

#include <doctest/doctest.h>

#include <algorithm>

namespace holdfast::test {
namespace {

const Module kNeighbour{"bystander", R"js(
    let release;
    exports.ping = () => 'pong';
    exports.hold = () => new Promise((resolve) => { release = resolve; });
    exports.release = () => release('held');
)js"};

}  // namespace

Ring::Ring(const std::string& code, std::vector<std::string> flags)
    : daemon_({.modules = {kNeighbour, {"hostile", "exports.ping = () => 'pong';" + code}}, .flags = std::move(flags)}),
      client_(daemon_.connect()),
      held_(client_) {
  held_.start({.module = "bystander", .function = "hold", .timeout = std::chrono::minutes(5)});
  REQUIRE(outcome(test::call(client_, {"bystander", "ping"})) == "\"pong\"");
  bystander_ = worker_of(client_, "bystander").pid;
}

ipc::Answer Ring::call(const std::string& function, const std::string& payload, std::chrono::milliseconds timeout) {
  return test::call(client_, {.module = "hostile", .function = function, .payload = payload, .timeout = timeout});
}

std::string Ring::outcome_of(const std::string& function, const std::string& payload) {
  return outcome(call(function, payload));
}

void Ring::check_ends(const std::string& function, std::initializer_list<const char*> codes) {
  const ipc::Answer came = call(function);
  const std::string code = code_of(came);
  CHECK_MESSAGE(std::any_of(codes.begin(), codes.end(), [&](const char* fitting) { return code == fitting; }), function,
                ": the outcome is: ", outcome(came).substr(0, 300));
}

void Ring::check_unharmed() {
  CHECK(outcome_of("ping") == "\"pong\"");
  CHECK(outcome(test::call(client_, {"bystander", "ping"})) == "\"pong\"");
  CHECK(worker_of(client_, "bystander").pid == bystander_);
  CHECK_FALSE(held_.is_answered(0));
}

void Ring::finish() {
  check_unharmed();
  test::call(client_, {"bystander", "release"});
  CHECK(outcome(held_.wait_for(0)) == "\"held\"");
  daemon_.stop();
}

}  // namespace holdfast::test
