// The calls that are on one worker, under the numbers by which the worker knows them. A number consists of the call's
// place, 1, 2, 3, … in the order in which calls were sent, and of its caller (SharedPage::number_of()). A worker
// never sees the supervisor's own ids: they count the calls of all modules, so a worker could learn from them how
// busy the others are, and could name their calls. Pure; holds one entry for each call on the worker.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

class CallNumbers {
 public:
  // Adds a call of this caller that is sent now, and returns its number. The call must not be on the worker yet.
  std::uint64_t add(CallId call, std::uint32_t caller = 0);

  // The call with this number, which may be any value; CallId{} if it is not on the worker.
  CallId find(std::uint64_t number) const;

  // The number of a call that is on the worker; 0 if it is not.
  std::uint64_t number_of(CallId call) const;

  // Removes the call with this number, because the worker has answered it. Returns the call; CallId{} if no call on
  // the worker has this number, which may be any value.
  CallId take(std::uint64_t number);

  // Removes the calls with places after `after`, up to and including `last`.
  void drop(std::uint64_t after, std::uint64_t last);

  // How many calls were ever sent.
  std::uint64_t sent() const { return last_place_; }

 private:
  struct Entry {
    std::uint64_t number;
    CallId call;
  };
  std::vector<Entry>::const_iterator at_or_after(std::uint64_t place) const;

  std::vector<Entry> open_;  // sorted by place
  std::uint64_t last_place_ = 0;
};

}  // namespace holdfast::supervisor
