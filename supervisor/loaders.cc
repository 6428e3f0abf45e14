#include "supervisor/loaders.h"

#include <algorithm>

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
  const Loader& loader = loaders_.front();
  const std::uint64_t request = ++last_request_;
  requests_.emplace(request, Request{loader.client, module, now + loader.timeout});
  loader.client->want_source(request, name);
  return true;
}

std::optional<ModuleId> Loaders::take(const ClientSession& client, std::uint64_t request) {
  const auto found = requests_.find(request);
  if (found == requests_.end() || found->second.client != &client) return std::nullopt;
  const ModuleId module = found->second.module;
  requests_.erase(found);
  return module;
}

std::vector<ModuleId> Loaders::take_overdue(TimePoint now) {
  std::vector<ModuleId> overdue;
  std::erase_if(requests_, [&](const auto& request) {
    if (request.second.deadline > now) return false;
    request.second.client->give_up_source(request.first);
    overdue.push_back(request.second.module);
    return true;
  });
  return overdue;
}

std::optional<Loaders::TimePoint> Loaders::next_wakeup() const {
  std::optional<TimePoint> next;
  for (const auto& [id, request] : requests_) next = std::min(request.deadline, next.value_or(request.deadline));
  return next;
}

}  // namespace holdfast::supervisor
