#include "tests/adversarial/siege.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "tests/support/processes.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

// The number of modules "attacker0", "attacker1", ... that attack side by side.
constexpr std::size_t kLanes = 4;
constexpr std::size_t kStandby = 4;
// The workers of the bystander and the attacker, and the standbys.
constexpr std::size_t kAll = 2 + kStandby;
// The descriptors that the supervisor has for each worker that it has inspected: pidfd, socket, and three files of
// /proc.
constexpr std::size_t kDescriptorsOfWorker = 5;

DaemonOptions daemon_options(std::vector<std::string> flags, std::vector<Module> modules) {
  flags.insert(flags.begin(), {"--standby", std::to_string(kStandby), "--standby-max", std::to_string(kStandby),
                               "--log-level", "error", "--idle-timeout", "1h"});
  DaemonOptions options = under_attack(std::move(flags));
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    options.modules.push_back({fmt::format("attacker{}", lane), options.modules.front().code});
  }
  options.modules.insert(options.modules.end(), modules.begin(), modules.end());
  return options;
}

std::uint64_t status_bytes(pid_t pid, const std::string& field) {
  const std::string text = status_field(pid, field);  // "1234 kB"
  return text.empty() ? 0 : std::stoull(text) << 10;
}

}  // namespace

NativeArgument text(const std::string& text) { return {fmt::format(R"({{"text":"{}"}})", text)}; }
NativeArgument at(const std::string& place, long offset) {
  return {fmt::format(R"({{"at":"{}","plus":{}}})", place, offset)};
}
NativeArgument word(std::uint64_t number) { return {fmt::format(R"("{}")", number)}; }

NativeArgument structure(const std::vector<NativeArgument>& words) {
  std::string list;
  for (const NativeArgument& word : words) list += (list.empty() ? "" : ",") + word.json;
  return {R"({"words":[)" + list + "]}"};
}

std::string steps(const std::vector<std::string>& list) { return fmt::format("[{}]", fmt::join(list, ",")); }

std::string Outcome::to_string() const { return fmt::format("{}{}", refused ? "refused:" : "", result); }

Siege::Siege(std::vector<std::string> flags, std::vector<Module> modules)
    : daemon_(daemon_options(std::move(flags), std::move(modules))),
      client_(daemon_.connect()),
      bystander_(worker("bystander")),
      zygote_(daemon_.zygote()) {
  // Measure the supervisor after it has seen a worker end, while it has its standby workers.
  lose({"attacker", "doCall", native_call(SYS_socket, 1, 1, 0).json});
  worker("attacker");
  CHECK(workers_become(client_, [](const auto& all) {
    return all.size() == kAll && std::ranges::all_of(all, [](const auto& worker) { return worker.pid != 0; });
  }));
  CHECK(eventually([&] { return daemon_.workers().size() == kAll; }));
  supervisor_descriptors_ = descriptors_of_supervisor();
  memory_before_ = supervisor_memory();
  zygote_memory_before_ = resident_bytes(zygote_);
}

pid_t Siege::worker(const std::string& module) {
  CHECK(outcome(call(client_, {module, "ping"})) == "\"pong\"");
  return worker_of(client_, module).pid;
}

std::vector<Outcome> Siege::survey(const std::vector<NativeCall>& calls) {
  const pid_t before = worker("attacker");
  std::string list;
  for (const NativeCall& call : calls) list += (list.empty() ? "[" : ",") + call.json;
  const std::string answer = outcome(call(client_, {"attacker", "survey", list + "]"}));
  REQUIRE_MESSAGE(answer.starts_with('"'), answer);
  std::vector<Outcome> outcomes;
  std::istringstream words(answer.substr(1, answer.size() - 2));
  for (std::string word; words >> word;) {
    const bool refused = word.starts_with("refused:");
    outcomes.push_back({refused, std::stol(refused ? word.substr(8) : word)});
  }
  REQUIRE(outcomes.size() == calls.size());
  CHECK(is_running(before));
  worker("attacker");
  return outcomes;
}

ipc::Error Siege::lose(CallTo to) {
  const pid_t before = worker(to.module);
  const auto error = error_of(call(client_, to));
  CHECK(killed_worker_is_gone(client_, to.module, before));
  return error;
}

std::vector<ipc::Error> Siege::lose_each(const std::vector<CallTo>& calls) {
  std::vector<ipc::Error> errors;
  for (std::size_t begin = 0; begin < calls.size(); begin += kLanes) {
    Calls round(client_);
    for (std::size_t i = begin; i < std::min(calls.size(), begin + kLanes); ++i) {
      CallTo to = calls[i];
      to.module = fmt::format("attacker{}", i - begin);
      round.start(to);
    }
    round.wait_for_all();
    for (std::size_t i = 0; i < round.size(); ++i) {
      CAPTURE(calls[begin + i].payload);
      errors.push_back(error_of(round.answer(i)));
    }
  }
  return errors;
}

// The supervisor opens further descriptors when it inspects a worker. Listing the workers makes it inspect all of them.
std::size_t Siege::descriptors_of_supervisor() {
  CHECK(client_.list_workers().has_value());
  return descriptors_of(daemon_.pid()).size();
}

std::uint64_t Siege::supervisor_memory() const { return status_bytes(daemon_.pid(), "VmRSS"); }

std::uint64_t Siege::supervisor_peak() const { return status_bytes(daemon_.pid(), "VmHWM"); }

void Siege::end(std::uint64_t growth) {
  CHECK(worker("bystander") == bystander_);
  CHECK(daemon_.zygote() == zygote_);
  worker("attacker");
  // The workers of the lanes are not replaced, as each of them died of its last call. A module may have a worker for
  // guilty callers beside its other one.
  CHECK(eventually([&] {
    const std::size_t all = workers(client_).size();
    return descriptors_of_supervisor() <= supervisor_descriptors_ + (std::max(all, kAll) - kAll) * kDescriptorsOfWorker;
  }));
  // Only root can see the zygote's descriptors: between forks, its control socket, its signals and its own OOM score.
  CHECK(eventually([&] { return ::geteuid() != 0 || descriptors_of(zygote_).size() == 3; }));
  const bool given_back = eventually([&] { return supervisor_memory() < memory_before_ + growth; });
  CHECK_MESSAGE(given_back, "the supervisor has ", supervisor_memory(), " bytes of memory, before: ", memory_before_);
  constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
  CHECK(resident_bytes(zygote_) < zygote_memory_before_ + kMegabyte);
  daemon_.stop();
}

std::uint64_t resident_bytes(pid_t pid) { return status_bytes(pid, "VmRSS") + status_bytes(pid, "VmPTE"); }

}  // namespace holdfast::test
