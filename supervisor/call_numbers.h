// The calls that are on one worker, under the numbers that the worker knows them by: their places, 1, 2, 3, … in the
// order in which they were sent, and who made them (SharedPage::number_of()). The supervisor's own ids count the calls
// of all modules; a worker that saw them would know how busy the others are, and could name their calls. Pure; holds as
// many entries as calls are on the worker.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

class CallNumbers {
 public:
  // The number for a call that is sent now, of this caller; it must not be on the worker.
  std::uint64_t add(CallId call, std::uint32_t caller = 0);

  // The call with this number, which may be any; CallId{} if it is not on the worker.
  CallId find(std::uint64_t number) const;

  // The number of a call that is on the worker; 0 if it is not.
  std::uint64_t number_of(CallId call) const;

  // The same as find() for a call that the worker answers: it is not on the worker any more.
  CallId take(std::uint64_t number);

  // Those after the first place, up to the other one, are not on the worker any more.
  void drop(std::uint64_t after, std::uint64_t last);

  // How many calls were sent, ever.
  std::uint64_t sent() const { return last_place_; }

 private:
  struct Entry {
    std::uint64_t number;
    CallId call;
  };
  std::vector<Entry>::const_iterator at_or_after(std::uint64_t place) const;

  std::vector<Entry> open_;  // places rise
  std::uint64_t last_place_ = 0;
};

}  // namespace holdfast::supervisor
