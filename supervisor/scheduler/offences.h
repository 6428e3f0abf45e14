// Keeps account of whose calls killed workers of a module lately, and what follows for these owners alone. Pure.
//
// An owner is a connection, and above it the connection's user.
//
// Connections: the first kill makes a connection guilty for the function that it called; a kill by another function
// makes it guilty for all functions. Calls for which their owner is guilty go to the module's quarantine, a worker that
// serves no clean owner. A connection that kills again and again, with few answers to such calls in between, is also
// paused there: after each further kill it waits for as long as the kill cost, then twice as long, and so on.
//
// Users: a user with several guilty connections is guilty as a user, for the functions that these connections are
// guilty for. Calls of such functions go to the quarantine from all connections of the user, except from connections
// that have earned trust by answered calls. The number of answers that earn trust doubles with each kill by the user;
// the number that it takes to keep trust doubles with each kill by a trusted connection. Kills for which no connection
// was paused add up to a pause of the user. So neither new connections nor many old ones are a way around a record, and
// a connection that is known for its good calls does not suffer for the user's other connections.
//
// killed(), is_guilty(), paused_until() and kills() take constant time. The other functions look through a user's
// connections, or through all users, when something is forgotten.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/scheduler/hold_off.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

struct OffenceOptions {
  using Duration = std::chrono::steady_clock::duration;
  // This many kills in a row by one connection, and by a user's guilty connections together, lead to no pause.
  unsigned free_kills = 2;
  unsigned free_kills_of_user = 4;
  // This many guilty connections make their user guilty.
  unsigned guilty_connections = 3;
  // This many answers between two kills end the row: a caller that passes on other people's calls passes on a bad one
  // at times.
  std::uint64_t answers_between = 16;
  // This many answers make an owner clean again after its only kill; after two kills twice as many, and so on.
  std::uint64_t healthy_answers = 100;
  // An owner does not become clean before this many times the cost of its kill have passed; twice as long after the
  // second kill, and so on. Answers alone prove little: they may cost the caller next to nothing.
  int clean_after = 9;
  // This much time without a kill makes an owner clean in any case.
  Duration memory = std::chrono::minutes(10);
  // 0: there are no pauses. --hold-off sets this and the longest delay of a module.
  Duration longest_pause = HoldOffOptions{}.longest_delay;
  // If a worker of the quarantine was killed while others waited for a slot, the quarantine gets no worker for this
  // many times the cost of the kill.
  int pause_for_others = 9;
};

// Who made a call, and which function it called.
struct Caller {
  UserId user = kUnknownUser;
  ClientId client{};
  FunctionId function{};

  bool operator==(const Caller&) const = default;
};

class Offences {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Duration = std::chrono::steady_clock::duration;

  // A call of this caller killed a worker. `cost` is the time that the call was on the CPU plus the time that a new
  // worker takes to start.
  void killed(const OffenceOptions& options, const Caller& caller, Duration cost, TimePoint now);

  // A call of this caller was answered. Returns true if waiting calls of its user that were kept apart may now be
  // clean.
  bool answered(const OffenceOptions& options, const Caller& caller, TimePoint now);

  // Forgets the users whose last kill is older than OffenceOptions::memory; returns them.
  std::vector<UserId> forget_old(const OffenceOptions& options, TimePoint now);
  bool empty() const { return users_.empty(); }
  std::vector<UserId> users() const;  // users with kills

  // Whether this caller's calls of this function go to the quarantine.
  bool is_guilty(const OffenceOptions& options, const Caller& caller) const;

  // Until when this caller's calls wait in the quarantine; nullopt: they are not paused.
  std::optional<TimePoint> paused_until(const OffenceOptions& options, const Caller& caller, TimePoint now) const;

  // How many workers this caller's calls killed lately: those of its connection, or if there are none, those of its
  // user for which no connection was paused.
  unsigned kills(const Caller& caller) const;

 private:
  // How many connections of a user are remembered; at most half of them have no kills. A kill by a connection that is
  // not remembered counts as a kill by one more guilty connection.
  static constexpr std::size_t kMostConnections = 4096;

  // The functions whose calls killed workers.
  class Guilt {
   public:
    void add(FunctionId function);
    bool covers(FunctionId function) const { return all_ || one_ == function; }
    bool any() const { return one_.has_value(); }

   private:
    std::optional<FunctionId> one_;
    bool all_ = false;
  };

  struct Record {
    Guilt guilt;
    unsigned kills = 0;
    unsigned row = 0;           // kills in a row, with few answers in between
    std::uint64_t answers = 0;  // since the last kill; if guilty, only to calls that it is guilty for
    TimePoint until = TimePoint::min();
    TimePoint guilty_until = TimePoint::min();  // no matter what was answered
    bool counts_for_user = false;               // connections only: is one of User::guilty_connections
    bool was_trusted = false;                   // connections only: has earned trust; see is_trusted()

    void killed(const OffenceOptions& options, FunctionId function, Duration cost, TimePoint now);
    void pause(const OffenceOptions& options, unsigned free_kills, Duration cost, TimePoint now);
    bool is_healed(const OffenceOptions& options, TimePoint now) const;
  };

  struct User {
    Record record;          // of the kills for which no connection was paused
    Guilt guilt;            // of all its connections
    unsigned kills = 0;     // by all its connections
    unsigned breaches = 0;  // of the kills, those by trusted connections
    unsigned guilty_connections = 0;
    TimePoint killed_at{};
    TimePoint guilty_until = TimePoint::min();         // before that, no guilty connection stops counting
    TimePoint trusts_from = TimePoint::min();          // before that, no connection earns trust
    std::unordered_map<ClientId, Record> connections;  // with kills, or with answers since the user has a record
  };

  static bool is_guilty_as_user(const OffenceOptions& options, const User& user);
  // Whether the connection is not held to account for its user's other connections.
  static bool is_trusted(const OffenceOptions& options, const User& user, const Record* connection);
  static const Record* find(const User& user, ClientId client);

  std::unordered_map<UserId, User> users_;
};

}  // namespace holdfast::supervisor
