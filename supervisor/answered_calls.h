// Who made the calls that a worker has answered, by the numbers that the worker knows them by: a call may leave timers
// and messages behind, and its caller answers for what these come to. Calls in a row of the same caller take one entry;
// of the entries the last ones are kept. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "supervisor/offences.h"

namespace holdfast::supervisor {

class AnsweredCalls {
 public:
  static constexpr std::size_t kMostEntries = 256;

  // The call with this number was answered; each number comes once.
  void add(std::uint64_t number, const Caller& caller);

  // Who made the call with this number, which may be any; nothing: it was not answered, or is forgotten. Looks through
  // all entries.
  std::optional<Caller> find(std::uint64_t number) const;

 private:
  struct Entry {
    std::uint64_t first;
    std::uint64_t last;
    Caller caller;
  };

  std::vector<Entry> entries_;
  std::size_t newest_ = 0;  // in entries_; the one after it is the oldest, once there are as many as may be
};

}  // namespace holdfast::supervisor
