#include "supervisor/scheduler/offences.h"

#include <algorithm>
#include <utility>

namespace holdfast::supervisor {
namespace {

// How many answers make up for this many kills.
std::uint64_t answers_needed(const OffenceOptions& options, unsigned kills) {
  constexpr unsigned kMostDoublings = 10;
  return options.healthy_answers << std::min(kills - 1, kMostDoublings);
}

// How long an owner stays guilty at least after kill number `kills`, which cost `cost`.
Offences::Duration time_needed(const OffenceOptions& options, unsigned kills, Offences::Duration cost) {
  constexpr unsigned kMostDoublings = 20;
  // The cost is bounded first, so that nothing overflows.
  const Offences::Duration time = std::min(cost, options.memory) * options.clean_after;
  return std::min(time * (std::int64_t{1} << std::min(kills - 1, kMostDoublings)), options.memory);
}

}  // namespace

void Offences::Guilt::add(FunctionId function) {
  if (function == kAnyFunction) all_ = true;
  all_ = all_ || (one_ && *one_ != function);
  one_ = function;
}

void Offences::Record::killed(const OffenceOptions& options, FunctionId function, Duration cost, TimePoint now) {
  guilt.add(function);
  if (answers >= options.answers_between) row = 0;
  answers = 0;
  ++kills;
  ++row;
  guilty_until = std::max(guilty_until, now + time_needed(options, kills, cost));
}

void Offences::Record::pause(const OffenceOptions& options, unsigned free_kills, Duration cost, TimePoint now) {
  constexpr unsigned kMostDoublings = 20;
  if (row <= free_kills) return;
  // The cost is bounded first, so that nothing overflows.
  cost = std::min(cost, options.longest_pause);
  const Duration pause = cost * (std::int64_t{1} << std::min(row - free_kills - 1, kMostDoublings));
  until = std::max(until, now + std::min(pause, options.longest_pause));
}

// Whether the owner becomes clean. Its number of kills is still remembered: next time it takes more.
bool Offences::Record::is_healed(const OffenceOptions& options, TimePoint now) const {
  return guilt.any() && now >= guilty_until && answers >= answers_needed(options, kills);
}

void Offences::killed(const OffenceOptions& options, const Caller& caller, Duration cost, TimePoint now) {
  User& user = users_[caller.user];
  user.killed_at = now;
  user.guilt.add(caller.function);
  ++user.kills;
  user.guilty_until = std::max(user.guilty_until, now + time_needed(options, user.kills, cost));
  if (is_trusted(options, user, find(user, caller.client))) ++user.breaches;
  user.trusts_from = std::max(user.trusts_from, now + time_needed(options, user.breaches + 1, cost));
  const bool is_known = user.connections.contains(caller.client) || user.connections.size() < kMostConnections;
  if (is_known && !is_rest(caller.client)) {
    Record& connection = user.connections[caller.client];
    connection.was_trusted = false;
    if (!std::exchange(connection.counts_for_user, true)) ++user.guilty_connections;
    connection.killed(options, caller.function, cost, now);
    connection.pause(options, options.free_kills, cost, now);
    if (connection.row > options.free_kills) return;
  } else {
    ++user.guilty_connections;
  }
  user.record.killed(options, caller.function, cost, now);
  if (is_guilty_as_user(options, user)) user.record.pause(options, options.free_kills_of_user, cost, now);
}

bool Offences::answered(const OffenceOptions& options, const Caller& caller, TimePoint now) {
  const auto found = users_.find(caller.user);
  if (found == users_.end()) return false;
  User& user = found->second;
  bool is_better = false;
  const bool may_heal = now >= user.guilty_until;
  if (user.connections.contains(caller.client) || user.connections.size() < kMostConnections / 2) {
    Record& connection = user.connections[caller.client];
    // Answers to clean connections say nothing about the others.
    if (connection.guilt.covers(caller.function)) ++user.record.answers;
    if (!connection.guilt.any() || connection.guilt.covers(caller.function)) ++connection.answers;
    if (connection.is_healed(options, now)) {
      connection.guilt = Guilt();
      connection.row = 0;
      connection.until = TimePoint::min();
      is_better = true;
    } else if (connection.kills == 0 && !connection.was_trusted && now >= user.trusts_from &&
               connection.answers >= answers_needed(options, user.kills)) {
      connection.was_trusted = is_better = true;
    } else if (connection.was_trusted && connection.answers == answers_needed(options, user.breaches + 1)) {
      is_better = true;  // it is trusted again
    }
    // Without this condition, a new connection for each kill and a hundred harmless calls would get around the user's
    // record.
    if (connection.counts_for_user && !connection.guilt.any() && may_heal &&
        connection.answers >= answers_needed(options, user.kills)) {
      --user.guilty_connections;
      connection.counts_for_user = false;
      is_better = true;
    }
  }
  if (user.record.guilt.any() && may_heal && user.record.answers >= answers_needed(options, user.kills)) {
    user.record = Record();
    user.guilt = Guilt();
    user.guilty_connections = 0;
    for (auto& [id, connection] : user.connections) connection.counts_for_user = false;
    is_better = true;
  }
  return is_better;
}

std::vector<UserId> Offences::forget_old(const OffenceOptions& options, TimePoint now) {
  std::vector<UserId> forgotten;
  std::erase_if(users_, [&](const auto& entry) {
    const bool is_old = now - entry.second.killed_at > options.memory;
    if (is_old) forgotten.push_back(entry.first);
    return is_old;
  });
  return forgotten;
}

std::vector<UserId> Offences::users() const {
  std::vector<UserId> users;
  for (const auto& [id, user] : users_) users.push_back(id);
  return users;
}

const Offences::Record* Offences::find(const User& user, ClientId client) {
  const auto found = user.connections.find(client);
  return found == user.connections.end() ? nullptr : &found->second;
}

bool Offences::is_guilty_as_user(const OffenceOptions& options, const User& user) {
  return user.guilty_connections >= options.guilty_connections;
}

bool Offences::is_trusted(const OffenceOptions& options, const User& user, const Record* connection) {
  return connection != nullptr && connection->was_trusted &&
         connection->answers >= answers_needed(options, user.breaches + 1);
}

bool Offences::is_guilty(const OffenceOptions& options, const Caller& caller) const {
  const auto found = users_.find(caller.user);
  if (found == users_.end()) return false;
  const User& user = found->second;
  const Record* connection = find(user, caller.client);
  if (connection != nullptr && connection->guilt.covers(caller.function)) return true;
  return is_guilty_as_user(options, user) && user.guilt.covers(caller.function) &&
         !is_trusted(options, user, connection);
}

std::optional<Offences::TimePoint> Offences::paused_until(const OffenceOptions& options, const Caller& caller,
                                                          TimePoint now) const {
  const auto found = users_.find(caller.user);
  if (found == users_.end()) return std::nullopt;
  const User& user = found->second;
  const Record* connection = find(user, caller.client);
  TimePoint until = connection == nullptr ? TimePoint::min() : connection->until;
  if (is_guilty_as_user(options, user) && !is_trusted(options, user, connection)) {
    until = std::max(until, user.record.until);
  }
  if (until <= now) return std::nullopt;
  return until;
}

unsigned Offences::kills(const Caller& caller) const {
  const auto found = users_.find(caller.user);
  if (found == users_.end()) return 0;
  const Record* connection = find(found->second, caller.client);
  return connection != nullptr && connection->kills > 0 ? connection->kills : found->second.record.kills;
}

}  // namespace holdfast::supervisor
