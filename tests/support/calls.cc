#include "tests/support/calls.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {

ipc::CallRequest CallTo::request() const {
  ipc::CallRequest request;
  request.module = module;
  request.version = version;
  request.function = function;
  request.payload = ipc::as_bytes(payload);
  request.arguments = arguments;
  request.timeout = timeout;
  request.idempotent = idempotent;
  return request;
}

ipc::Answer call(ipc::Client& client, const CallTo& to) { return client.call(to.request()); }

std::string outcome(const ipc::Answer& answer) {
  if (answer) return answer->payload;
  return std::string(ipc::to_string(answer.error().code)) + ": " + answer.error().message;
}

std::string code_of(const ipc::Answer& answer) {
  return answer ? "result" : std::string(ipc::to_string(answer.error().code));
}

ipc::Error error_of(const ipc::Answer& answer) {
  REQUIRE_MESSAGE(!answer.has_value(), "expected an error, got a result: ", outcome(answer));
  return answer.error();
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

std::size_t occurrences(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

std::size_t Calls::start(const CallTo& to) {
  const std::size_t place = answers_.size();
  answers_.emplace_back();
  ids_.push_back(client_.start(to.request(), [this, place](ipc::Answer answer) {
    CHECK_FALSE(answers_[place].has_value());
    answers_[place] = std::move(answer);
    order_.push_back(place);
  }));
  return place;
}

const ipc::Answer& Calls::wait_for(std::size_t place) {
  while (!answers_[place]) client_.run_once();
  return *answers_[place];
}

void Calls::wait_for_all() {
  while (order_.size() < answers_.size()) client_.run_once();
}

std::size_t Calls::count(const std::string& code) const {
  return static_cast<std::size_t>(std::count_if(
      answers_.begin(), answers_.end(), [&](const auto& answer) { return answer && code_of(*answer) == code; }));
}

std::vector<ipc::WorkerInfo> workers(ipc::Client& client) {
  auto list = client.list_workers();
  REQUIRE(list.has_value());
  return std::move(list->workers);
}

bool killed_worker_is_gone(ipc::Client& client, const std::string& module, pid_t before) {
  return eventually([&] {
    const auto all = workers(client);
    const auto is_its = [&](const auto& worker) { return worker.module == module; };
    return !is_running(before) || std::ranges::count_if(all, is_its) == 1;
  });
}

ipc::WorkerInfo worker_of(ipc::Client& client, const std::string& module) {
  std::vector<ipc::WorkerInfo> found;
  for (auto& worker : workers(client)) {
    if (worker.module == module) found.push_back(std::move(worker));
  }
  REQUIRE_FALSE(found.empty());
  return *std::ranges::min_element(found, {}, &ipc::WorkerInfo::age);
}

ipc::ModuleStats stats_of(ipc::Client& client, const std::string& module) {
  const auto stats = client.stats();
  REQUIRE(stats.has_value());
  std::vector<ipc::ModuleStats> found;
  for (const ipc::ModuleStats& of_one : stats->modules) {
    if (of_one.module == module) found.push_back(of_one);
  }
  REQUIRE(found.size() == 1);
  return found.front();
}

bool workers_become(ipc::Client& client, const std::function<bool(const std::vector<ipc::WorkerInfo>&)>& condition) {
  return eventually([&] { return condition(workers(client)); });
}

}  // namespace holdfast::test
