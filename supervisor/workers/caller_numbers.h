// The callers whose calls one worker gets, numbered for this worker alone: 0, 1, 2, … in the order in which they
// came. A caller's number is part of the number of each of its calls (SharedPage::caller_of()). So the caller of
// whatever the worker reports to be at work on is known, even of work that is left from a call answered long ago.
//
// Pure. Grows with the callers, up to kMost, and forgets none: a number never means another caller. When a user's
// callers have kMostOfUser numbers, this user's further callers share numbers (rest_of()): one for each of
// kMostFunctions functions, and one for all other functions. When only reserved numbers (kKeptForUsers) are left, all
// further callers of a user share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ipc/shared_page.h"
#include "supervisor/scheduler/offences.h"

namespace holdfast::supervisor {

class CallerNumbers {
 public:
  static constexpr std::uint32_t kMost = ipc::SharedPage::kMostCallers - 1;
  // The number of all callers for which no number is left, not even one for their user.
  static constexpr std::uint32_t kOthers = kMost;
  static constexpr std::size_t kMostOfUser = kMost / 4;
  static constexpr std::size_t kKeptForUsers = kMost / 4;
  // A client that calls more functions than this is one caller for all further functions (kAnyFunction).
  static constexpr std::size_t kMostFunctions = 16;

  // The caller's number; kOthers if there is none for it.
  std::uint32_t number_of(const Caller& caller);
  // The caller with this number, which may be any value; nothing if no caller has it.
  std::optional<Caller> find(std::uint32_t number) const;

 private:
  struct Hash {
    std::size_t operator()(const Caller& caller) const;
  };
  bool is_reserve_in_use() const;
  bool has_part(UserId user) const;

  std::vector<Caller> callers_;  // indexed by number
  std::uint32_t last_ = 0;       // number of the caller of the latest call, if there is any
  std::unordered_map<Caller, std::uint32_t, Hash> numbers_;
  std::unordered_map<ClientId, std::size_t> functions_;  // how many functions each client has called
  std::unordered_map<UserId, std::size_t> of_users_;     // how many numbers each user has
};

}  // namespace holdfast::supervisor
