#include "tests/soak/observer.h"

#include <fmt/format.h>

#include <algorithm>

#include "ipc/client.h"
#include "tests/support/program.h"

namespace holdfast::soak {
namespace {

constexpr milliseconds kBetweenLists{200};
// The command is run once in this many lists.
constexpr std::size_t kListsForACommand = 25;

}  // namespace

Observer::Observer(const std::string& socket_path, Run& run) : socket_path_(socket_path), run_(run) {
  thread_ = std::thread([this] {
    try {
      observe();
    } catch (const std::exception& error) {
      run_.report.broken(fmt::format("the observer: {}", error.what()));
    }
  });
}

Observer::~Observer() {
  stopped_ = true;
  thread_.join();
}

void Observer::observe() {
  auto client = ipc::Client::connect(socket_path_, {.name = "observer"});
  if (!client) return run_.report.broken("the observer: " + client.error().message);
  for (std::size_t look = 0; !stopped_ && !is_interrupted(); ++look) {
    const auto begin = Clock::now();
    const auto list = client->list_workers();
    const auto took = Clock::now() - begin;
    if (!list) return run_.report.broken("the observer: " + list.error().message);
    const auto asked = Clock::now();
    const auto stats = client->stats();
    if (!stats) return run_.report.broken("the observer: " + stats.error().message);
    {
      const std::lock_guard lock(mutex_);
      ++lists_;
      longest_list_ = std::max(longest_list_, took);
      longest_stats_ = std::max(longest_stats_, Clock::now() - asked);
      most_workers_ = std::max(most_workers_, list->workers.size());
    }
    if (look % kListsForACommand == 0) {
      const auto started = Clock::now();
      const auto done = test::run({test::command_program(), "ps", "--json", "--socket", socket_path_});
      if (done.status != 0) run_.report.broken("holdfast ps: " + done.errors);
      const std::lock_guard lock(mutex_);
      longest_command_ = std::max(longest_command_, Clock::now() - started);
    }
    pause_for(kBetweenLists);
  }
}

void Observer::report() const {
  const std::lock_guard lock(mutex_);
  run_.report.figure("lists of workers", lists_);
  run_.report.figure("most workers in a list", most_workers_);
  run_.report.figure("longest list, ms", in_millis(longest_list_));
  run_.report.figure("longest statistics, ms", in_millis(longest_stats_));
  run_.report.figure("longest holdfast ps, ms", in_millis(longest_command_));
}

}  // namespace holdfast::soak
