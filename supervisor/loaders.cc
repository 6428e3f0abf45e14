#include "supervisor/loaders.h"

#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"

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
  for (auto& [id, request] : requests_) std::erase(request.asked, &client);
  std::vector<ModuleId> unanswered;
  std::erase_if(requests_, [&](const auto& request) {
    if (request.second.client != &client) return false;
    unanswered.push_back(request.second.module);
    return true;
  });
  return unanswered;
}

void Loaders::ask(ModuleId module, const ModuleName& name, TimePoint now) {
  expect(!loaders_.empty(), "a loader is there to be asked");
  ask(loaders_.front(), module, name, now, {});
}

void Loaders::ask(Loader& loader, ModuleId module, const ModuleName& name, TimePoint now,
                  std::vector<const ClientSession*> asked) {
  const std::uint64_t request = ++last_request_;
  requests_.emplace(request, Request{loader.client, module, name, now + loader.timeout, std::move(asked)});
  loader.client->want_source(request, name);
}

bool Loaders::ask_next(Request request, TimePoint now) {
  request.asked.push_back(request.client);
  const auto next = std::ranges::find_if(loaders_, [&](const Loader& loader) {
    return std::ranges::find(request.asked, loader.client) == request.asked.end();
  });
  if (next == loaders_.end()) return false;
  ask(*next, request.module, request.name, now, std::move(request.asked));
  return true;
}

void Loaders::give_up(ModuleId module) {
  const auto found = std::ranges::find_if(requests_, [&](const auto& entry) { return entry.second.module == module; });
  expect(found != requests_.end(), "a module that is given up was asked for");
  found->second.client->give_up_source(found->first);
  requests_.erase(found);
}

std::optional<ModuleId> Loaders::is_not_known(const ClientSession& client, std::uint64_t id, TimePoint now) {
  const auto found = requests_.find(id);
  if (found == requests_.end() || found->second.client != &client) return std::nullopt;
  Request request = std::move(found->second);
  requests_.erase(found);
  const ModuleId module = request.module;
  if (ask_next(std::move(request), now)) return std::nullopt;
  return module;
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
    const auto silent = std::ranges::find(loaders_, request.client, &Loader::client);
    if (silent != loaders_.end()) loaders_.splice(loaders_.end(), loaders_, silent);
    const ModuleId module = request.module;
    if (!ask_next(std::move(request), now)) given_up.push_back(module);
  }
  return given_up;
}

std::optional<Loaders::TimePoint> Loaders::next_wakeup() const {
  std::optional<TimePoint> next;
  for (const auto& [id, request] : requests_) next = std::min(request.deadline, next.value_or(request.deadline));
  return next;
}

}  // namespace holdfast::supervisor
