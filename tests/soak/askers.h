// Clients of one thread, each of which asks one module all the time.
#pragma once

#include <doctest/doctest.h>
#include <sys/epoll.h>

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ipc/base/unique_fd.h"
#include "ipc/client.h"

namespace holdfast::soak {

struct Asker {
  Asker(std::string module_name, ipc::Client connected)
      : module(std::move(module_name)), client(std::move(connected)) {}

  std::string module;
  ipc::Client client;
  std::uint64_t answered = 0;
};

template <std::derived_from<Asker> Kind>
class Askers {
 public:
  Askers() : events_(::epoll_create1(EPOLL_CLOEXEC)) { REQUIRE(static_cast<bool>(events_)); }

  void add(std::string module, ipc::Client client) {
    all_.push_back(std::make_unique<Kind>(std::move(module), std::move(client)));
    epoll_event wanted = {.events = EPOLLIN, .data = {.ptr = all_.back().get()}};
    REQUIRE(::epoll_ctl(events_.get(), EPOLL_CTL_ADD, all_.back()->client.fd(), &wanted) == 0);
  }

  const std::vector<std::unique_ptr<Kind>>& all() const { return all_; }

  std::uint64_t answered() const {
    std::uint64_t sum = 0;
    for (const auto& asker : all_) sum += asker->answered;
    return sum;
  }

  // Takes what has arrived, and sends what was started meanwhile.
  void serve(Kind& asker) {
    do {
      asker.client.run_once(std::chrono::milliseconds(0));
    } while (asker.client.connected() && asker.client.unsent_bytes() > 0);
  }

  // Serves those for whom something has arrived; waits for that at most `longest`.
  void serve_arrived(std::chrono::milliseconds longest) {
    std::array<epoll_event, 64> events;
    const int count =
        ::epoll_wait(events_.get(), events.data(), static_cast<int>(events.size()), static_cast<int>(longest.count()));
    for (int i = 0; i < count; ++i) serve(*static_cast<Kind*>(events[static_cast<std::size_t>(i)].data.ptr));
  }

 private:
  const UniqueFd events_;
  std::vector<std::unique_ptr<Kind>> all_;
};

}  // namespace holdfast::soak
