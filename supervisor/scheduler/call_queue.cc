#include "supervisor/scheduler/call_queue.h"

#include <algorithm>
#include <utility>

#include "ipc/base/invariant.h"

namespace holdfast::supervisor {

bool CallQueue::contains(ClientId id) const {
  const auto found = clients_by_id_.find(id);
  return found != clients_by_id_.end() && !found->second.calls.empty();
}

CallQueue::Client* CallQueue::find(ClientId id) {
  const auto found = clients_by_id_.find(id);
  return found == clients_by_id_.end() ? nullptr : &found->second;
}

CallQueue::Client& CallQueue::client_of(UserId user_id, ClientId id) {
  if (Client* known = find(id)) return *known;
  User& user = users_by_id_.try_emplace(user_id, User{.id = user_id}).first->second;
  Client& client = clients_by_id_.emplace(id, Client{.id = id, .user = &user}).first->second;
  ++user.client_count;
  enter(client);
  return client;
}

// Puts a client, which must not be paused, into the order.
void CallQueue::enter(Client& client) {
  User& user = *client.user;
  user.clients.insert(client);
  if (!user.place.is_in) users_.insert(user);
  if (client.place.ahead > 0) users_.set_ahead(user, user.place.ahead + client.place.ahead);
}

void CallQueue::leave(Client& client) {
  User& user = *client.user;
  user.clients.erase(client);
  if (client.place.ahead > 0) users_.set_ahead(user, user.place.ahead - client.place.ahead);
  if (user.clients.empty()) users_.erase(user);
}

void CallQueue::forget(Client& client) {
  User& user = *client.user;
  if (client.place.is_in) leave(client);
  clients_by_id_.erase(client.id);
  if (--user.client_count == 0) users_by_id_.erase(user.id);
}

// A client without calls is remembered only if it has had more than others, or if it is its user's last client and the
// user has.
void CallQueue::forget_if_done(Client& client) {
  if (!client.calls.empty()) return;
  User& user = *client.user;
  const bool is_behind = user.clients.is_behind(client) || (user.client_count == 1 && users_.is_behind(user));
  if (client.is_paused || !is_behind) forget(client);
}

void CallQueue::count_ready(const Client& client, bool was_ready) {
  if (client.is_ready() == was_ready) return;
  ready_clients_ += static_cast<std::size_t>(was_ready ? -1 : 1);
}

void CallQueue::set_ahead(Client& client, std::uint64_t ahead) {
  if (!client.place.is_in) {
    client.place.ahead = ahead;
    return;
  }
  User& user = *client.user;
  users_.set_ahead(user, user.place.ahead - client.place.ahead + ahead);
  user.clients.set_ahead(client, ahead);
}

void CallQueue::push_back(UserId user, ClientId id, CallId call) {
  Client& client = client_of(user, id);
  const bool was_ready = client.is_ready();
  client.calls.push_back(call);
  ++size_;
  count_ready(client, was_ready);
}

void CallQueue::push_front(UserId user, ClientId id, CallId call, Before before) {
  Client& client = client_of(user, id);
  const bool was_ready = client.is_ready();
  client.calls.push_front(call);
  ++size_;
  count_ready(client, was_ready);
  set_ahead(client, before == Before::all ? client.place.ahead + 1 : 0);
}

CallId CallQueue::front() {
  // A client that comes first and has no calls has not had more than the others, so it need not be remembered.
  for (;;) {
    User& user = users_.first();
    Client& client = user.clients.first();
    if (client.is_ready()) return client.calls.front();
    users_.pass_over(user);
    user.clients.pass_over(client);
    forget(client);
  }
}

std::optional<CallId> CallQueue::front_of(const UserMay& user_may, const ClientMay& client_may) {
  std::vector<User*> passed_users;
  std::vector<Client*> passed_clients;
  Client* found = nullptr;
  users_.find([&](User& user) {
    if (user_may(user.id)) {
      found = user.clients.find([&](Client& client) {
        if (!client.is_ready()) return false;
        if (client_may(user.id, client.id)) return true;
        passed_clients.push_back(&client);
        return false;
      });
    }
    if (found == nullptr) passed_users.push_back(&user);
    return found != nullptr;
  });
  for (Client* client : passed_clients) client->user->clients.pass_by(*client);
  for (User* user : passed_users) users_.pass_by(*user);
  if (found == nullptr) return std::nullopt;
  return found->calls.front();
}

void CallQueue::pop_front() { pop(users_.first().clients.first().id); }

void CallQueue::pop(ClientId id) {
  Client& client = clients_by_id_.at(id);
  User& user = *client.user;
  client.calls.pop_front();
  --size_;
  count_ready(client, true);
  users_.served(user);
  user.clients.served(client);
  if (client.place.ahead > 0) set_ahead(client, client.place.ahead - 1);
  forget_if_done(client);
  forget_debts();
}

void CallQueue::charge(UserId user, ClientId id, VirtualTime cost) {
  if (!is_ready() || cost <= VirtualTime::zero()) return;
  Client& client = client_of(user, id);
  client.user->clients.charge(client, cost);
  users_.charge(*client.user, cost);
  has_debts_ = true;
}

// While no calls wait, what clients have had is forgotten.
void CallQueue::forget_debts() {
  if (is_ready() || !std::exchange(has_debts_, false)) return;
  std::vector<Client*> done;
  for (auto& [id, client] : clients_by_id_) {
    if (client.calls.empty()) done.push_back(&client);
  }
  for (Client* client : done) forget(*client);
  // The other clients are paused and in no order.
  for (auto& [id, client] : clients_by_id_) client.place.time = client.user->place.time = VirtualTime::zero();
}

void CallQueue::erase(ClientId id, CallId call) {
  Client* client = find(id);
  expect(client != nullptr, "a client whose call is erased has calls in the queue");
  const bool was_ready = client->is_ready();
  // A call that leaves a queue is usually near its front, so the search starts there. std::erase() would look
  // through the whole queue for each of ten thousand calls that end at one deadline.
  const auto place = std::find(client->calls.begin(), client->calls.end(), call);
  expect(place != client->calls.end(), "a call that is erased is in the queue");
  const auto number = static_cast<std::uint64_t>(place - client->calls.begin());
  client->calls.erase(place);
  --size_;
  count_ready(*client, was_ready);
  if (number < client->place.ahead) set_ahead(*client, client->place.ahead - 1);
  forget_if_done(*client);
  forget_debts();
}

void CallQueue::pause(ClientId id) {
  Client& client = clients_by_id_.at(id);
  if (client.is_paused) return;
  const bool was_ready = client.is_ready();
  leave(client);
  client.is_paused = true;
  count_ready(client, was_ready);
  forget_debts();
}

void CallQueue::resume(ClientId id) {
  Client* client = find(id);
  if (client == nullptr || !client->is_paused) return;
  client->is_paused = false;
  enter(*client);
  count_ready(*client, false);
}

bool CallQueue::is_paused(ClientId id) const {
  const auto found = clients_by_id_.find(id);
  return found != clients_by_id_.end() && found->second.is_paused;
}

std::size_t CallQueue::paused_calls() const {
  std::size_t sum = 0;
  for (const auto& [id, client] : clients_by_id_) sum += client.is_paused ? client.calls.size() : 0;
  return sum;
}

std::deque<CallId> CallQueue::take(ClientId id, const std::function<bool(CallId)>& which) {
  Client* client = find(id);
  if (client == nullptr) return {};
  const bool was_ready = client->is_ready();
  std::deque<CallId> taken, left;
  std::uint64_t ahead_left = 0;
  for (std::size_t i = 0; i < client->calls.size(); ++i) {
    const CallId call = client->calls[i];
    if (which(call)) {
      taken.push_back(call);
    } else {
      left.push_back(call);
      if (i < client->place.ahead) ++ahead_left;
    }
  }
  client->calls = std::move(left);
  size_ -= taken.size();
  count_ready(*client, was_ready);
  set_ahead(*client, ahead_left);
  forget_if_done(*client);
  forget_debts();
  return taken;
}

std::vector<ClientId> CallQueue::clients_of(UserId user) const {
  std::vector<ClientId> clients;
  for (const auto& [id, client] : clients_by_id_) {
    if (client.user->id == user && !client.calls.empty()) clients.push_back(id);
  }
  return clients;
}

std::vector<CallId> CallQueue::take_all() {
  std::vector<CallId> all;
  all.reserve(size_);
  for (const auto& [id, client] : clients_by_id_) all.insert(all.end(), client.calls.begin(), client.calls.end());
  users_ = {};
  clients_by_id_.clear();
  users_by_id_.clear();
  size_ = ready_clients_ = 0;
  has_debts_ = false;
  return all;
}

}  // namespace holdfast::supervisor
