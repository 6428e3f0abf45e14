// Whose calls killed workers of a module lately, and what follows for these owners alone. Pure.
//
// An owner is a connection, and above it the connection's user. The first kill makes a connection guilty, for the
// function that it called; a kill by another function makes it guilty for all. Calls that their owner is guilty for go
// to the module's quarantine, a worker that serves no clean owner. A connection that kills again and again, with few
// answers of such calls in between, is also paused there: after each further kill it waits for as long as the kill
// cost, then twice as long, and so on. A user with several guilty connections is guilty as a user, for the functions
// that these are guilty for. Calls of such functions go to the quarantine from all connections of the user, but for
// those that have earned trust by answered calls. How many it takes doubles with each kill of the user's; how many it
// takes to keep it, with each kill by a trusted connection. The kills that no connection was paused for add up to a
// pause of the user. So new connections are no way around a record, nor are many old ones, and a connection that is
// known for its good calls does not answer for its user's others.
//
// killed(), is_guilty(), paused_until() and kills() take constant time; the others look through a user's connections,
// or through all users, where something is forgotten.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

struct OffenceOptions {
  using Duration = std::chrono::steady_clock::duration;
  // So many kills in a row of one connection, and of a user's guilty connections together, have no pause.
  unsigned free_kills = 2;
  unsigned free_kills_of_user = 4;
  // So many guilty connections make their user guilty.
  unsigned guilty_connections = 3;
  // So many answers between two kills end the row: a caller that passes on other people's calls has a bad one at times.
  std::uint64_t answers_between = 16;
  // So many answers after its only kill make an owner clean again; after two kills twice as many, and so on.
  std::uint64_t healthy_answers = 100;
  // An owner does not become clean before so many times the cost of its kill have passed; twice as long after the
  // second kill, and so on. Answers alone prove little: they may cost the caller next to nothing.
  int clean_after = 9;
  // So much time without a kill makes an owner clean in any case.
  Duration memory = std::chrono::minutes(10);
  Duration longest_pause = std::chrono::seconds(30);  // 0: there are no pauses
  // A kill that others had to wait for keeps the quarantine without a worker for so many times what the kill cost.
  int pause_for_others = 9;
};

// Who made a call, and of what function.
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

  // A call of this caller killed a worker. `cost` is how long the call was on the CPU, and what another worker takes to
  // come up.
  void killed(const OffenceOptions& options, const Caller& caller, Duration cost, TimePoint now);

  // A call of this caller was answered. True: calls of its user for which somebody was guilty may be clean now.
  bool answered(const OffenceOptions& options, const Caller& caller, TimePoint now);

  // Forgets the users whose last kill is older than the memory; returns them.
  std::vector<UserId> forget_old(const OffenceOptions& options, TimePoint now);
  bool empty() const { return users_.empty(); }
  std::vector<UserId> users() const;  // that have kills

  // Whether this caller's calls of the function are kept apart.
  bool is_guilty(const OffenceOptions& options, const Caller& caller) const;

  // Until when this caller's calls that are kept apart wait; nothing: they need not.
  std::optional<TimePoint> paused_until(const OffenceOptions& options, const Caller& caller, TimePoint now) const;

  // How many workers died of this caller's calls lately: of the connection's, or else of its user's.
  unsigned kills(const Caller& caller) const;

 private:
  // So many connections of a user are remembered; at most half of them without kills. A kill by a connection that is
  // not remembered counts as a kill by one more guilty connection.
  static constexpr std::size_t kMostConnections = 4096;

  // The functions that killed.
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
    unsigned row = 0;           // kills with few answers in between
    std::uint64_t answers = 0;  // since the last kill, of calls that it is guilty for, if of any
    TimePoint until = TimePoint::min();
    TimePoint guilty_until = TimePoint::min();  // regardless of its answers
    bool counts_for_user = false;               // of a connection: it is one of User::guilty_connections
    bool was_trusted = false;                   // of a connection: it has earned that; see is_trusted()

    void killed(const OffenceOptions& options, FunctionId function, Duration cost, TimePoint now);
    void pause(const OffenceOptions& options, unsigned free_kills, Duration cost, TimePoint now);
    bool is_healed(const OffenceOptions& options, TimePoint now) const;
  };

  struct User {
    Record record;          // of the kills that no connection was paused for
    Guilt guilt;            // of all its connections
    unsigned kills = 0;     // the same
    unsigned breaches = 0;  // of these, by connections that were trusted
    unsigned guilty_connections = 0;
    TimePoint killed_at{};
    TimePoint guilty_until = TimePoint::min();  // before that, no connection stops counting for it
    TimePoint trusts_from = TimePoint::min();   // before that, no connection earns trust
    std::unordered_map<ClientId, Record> connections;  // with kills, or with answers since the user has a record
  };

  static bool is_guilty_as_user(const OffenceOptions& options, const User& user);
  // A connection that does not answer for its user.
  static bool is_trusted(const OffenceOptions& options, const User& user, const Record* connection);
  static const Record* find(const User& user, ClientId client);

  std::unordered_map<UserId, User> users_;
};

}  // namespace holdfast::supervisor
