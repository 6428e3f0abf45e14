// The callers whose calls one worker is given, by numbers of this worker's own: 0, 1, 2, … in the order in which they
// came. Such a number is a part of each call's number there (SharedPage::caller_of()), so that the caller is known of
// whatever the worker says it was at work on, also of what a call left behind that was answered long ago. Pure. It
// grows with the callers, up to kMost, and forgets none: a number never means another caller. After kMostOfUser numbers
// of a user's callers, its further ones share numbers (rest_of()): one for each of kMostFunctions functions, and one
// for the rest. When only reserved numbers are left, a user's further callers share one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "ipc/shared_page.h"
#include "supervisor/offences.h"

namespace holdfast::supervisor {

class CallerNumbers {
 public:
  static constexpr std::uint32_t kMost = ipc::SharedPage::kMostCallers - 1;
  // The number of callers for whom none is left, not even by user.
  static constexpr std::uint32_t kOthers = kMost;
  static constexpr std::size_t kMostOfUser = kMost / 4;
  static constexpr std::size_t kKeptForUsers = kMost / 4;
  // A client that calls more functions than these is one caller for all the rest (kAnyFunction).
  static constexpr std::size_t kMostFunctions = 16;

  // The caller's number, kOthers if it has none.
  std::uint32_t number_of(const Caller& caller);
  // Whose number this is, which may be any; nothing: nobody's.
  std::optional<Caller> find(std::uint32_t number) const;

 private:
  struct Hash {
    std::size_t operator()(const Caller& caller) const;
  };
  bool is_reserve_in_use() const;
  bool has_part(UserId user) const;

  std::vector<Caller> callers_;  // by their numbers
  std::uint32_t last_ = 0;       // whose call came last, if there are any
  std::unordered_map<Caller, std::uint32_t, Hash> numbers_;
  std::unordered_map<ClientId, std::size_t> functions_;  // how many each client has called
  std::unordered_map<UserId, std::size_t> of_users_;     // how many numbers each has
};

}  // namespace holdfast::supervisor
