#include "supervisor/loaders.h"

#include <algorithm>
#include <utility>

namespace holdfast::supervisor {

bool Loaders::add(ClientSession& client, Duration timeout) {
  const auto known =
      std::find_if(loaders_.begin(), loaders_.end(), [&](const Loader& loader) { return loader.client == &client; });
  if (known != loaders_.end()) {
    known->timeout = timeout;
    return false;
  }
  loaders_.push_back({&client, timeout});
  return true;
}

std::vector<ModuleId> Loaders::remove(const ClientSession& client) {
  loaders_.remove_if([&](const Loader& loader) { return loader.client == &client; });
  for (auto& [id, request] : requests_) std::erase(request.silent, &client);
  std::vector<ModuleId> unanswered;
  std::erase_if(requests_, [&](const auto& request) {
    if (request.second.client != &client) return false;
    unanswered.push_back(request.second.module);
    return true;
  });
  return unanswered;
}

bool Loaders::ask(ModuleId module, const ModuleName& name, TimePoint now) {
  if (loaders_.empty() || requests_.size() >= kMostOpen) return false;
  ask(loaders_.front(), module, name, now, {});
  return true;
}

void Loaders::ask(Loader& loader, ModuleId module, const ModuleName& name, TimePoint now,
                  std::vector<const ClientSession*> silent) {
  const std::uint64_t request = ++last_request_;
  requests_.emplace(request, Request{loader.client, module, name, now + loader.timeout, std::move(silent)});
  loader.client->want_source(request, name);
}

std::optional<ModuleId> Loaders::take(const ClientSession& client, std::uint64_t request) {
  const auto found = requests_.find(request);
  if (found == requests_.end() || found->second.client != &client) return std::nullopt;
  const ModuleId module = found->second.module;
  requests_.erase(found);
  return module;
}

std::vector<ModuleId> Loaders::take_overdue(TimePoint now) {
  std::vector<Request> overdue;
  std::erase_if(requests_, [&](auto& request) {
    if (request.second.deadline > now) return false;
    request.second.client->give_up_source(request.first);
    overdue.push_back(std::move(request.second));
    return true;
  });
  std::vector<ModuleId> given_up;
  for (Request& request : overdue) {
    request.silent.push_back(request.client);
    const auto silent = std::ranges::find(loaders_, request.client, &Loader::client);
    if (silent != loaders_.end()) loaders_.splice(loaders_.end(), loaders_, silent);
    const auto next = std::ranges::find_if(loaders_, [&](const Loader& loader) {
      return std::ranges::find(request.silent, loader.client) == request.silent.end();
    });
    if (next == loaders_.end()) {
      given_up.push_back(request.module);
    } else {
      ask(*next, request.module, request.name, now, std::move(request.silent));
    }
  }
  return given_up;
}

std::optional<Loaders::TimePoint> Loaders::next_wakeup() const {
  std::optional<TimePoint> next;
  for (const auto& [id, request] : requests_) next = std::min(request.deadline, next.value_or(request.deadline));
  return next;
}

}  // namespace holdfast::supervisor
