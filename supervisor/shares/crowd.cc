#include "supervisor/shares/crowd.h"

#include <algorithm>

namespace holdfast::supervisor {

void Crowd::add(UserId user, ClientId client, CallId call) {
  User& owner = users_[user];
  ++owner.calls;
  owner.clients[client].push_back(call);
}

std::optional<CallId> Crowd::give_way_to(UserId user, ClientId client) {
  if (users_.empty()) return std::nullopt;
  auto heaviest = std::max_element(users_.begin(), users_.end(), [](const auto& one, const auto& other) {
    return one.second.calls < other.second.calls;
  });
  const auto own = users_.find(user);
  if (own != users_.end() && own->second.calls + 1 >= heaviest->second.calls) heaviest = own;
  auto& clients = heaviest->second.clients;
  if (clients.empty()) return std::nullopt;
  auto largest = std::max_element(clients.begin(), clients.end(), [](const auto& one, const auto& other) {
    return one.second.size() < other.second.size();
  });
  if (heaviest == own) {
    const auto its = clients.find(client);
    const std::size_t wanted = (its == clients.end() ? 0 : its->second.size()) + 1;
    if (wanted >= largest->second.size()) return std::nullopt;
  }
  auto& calls = largest->second;
  const auto last = std::max_element(calls.begin(), calls.end());
  const CallId call = *last;
  *last = calls.back();
  calls.pop_back();
  if (calls.empty()) clients.erase(largest);
  if (--heaviest->second.calls == 0) users_.erase(heaviest);
  return call;
}

}  // namespace holdfast::supervisor
