#include "supervisor/call_numbers.h"

#include <algorithm>
#include <cstdlib>

namespace holdfast::supervisor {

std::uint64_t CallNumbers::add(CallId call) {
  if (!open_.empty() && call <= open_.back().call) std::abort();  // the scheduler sends calls in their order
  open_.push_back({++last_number_, call});
  return last_number_;
}

std::vector<CallNumbers::Entry>::const_iterator CallNumbers::at_or_after(std::uint64_t number) const {
  return std::lower_bound(open_.begin(), open_.end(), number,
                          [](const Entry& entry, std::uint64_t wanted) { return entry.number < wanted; });
}

CallId CallNumbers::find(std::uint64_t number) const {
  const auto at = at_or_after(number);
  return at != open_.end() && at->number == number ? at->call : CallId{};
}

std::uint64_t CallNumbers::number_of(CallId call) const {
  const auto at = std::lower_bound(open_.begin(), open_.end(), call,
                                   [](const Entry& entry, CallId wanted) { return entry.call < wanted; });
  return at != open_.end() && at->call == call ? at->number : 0;
}

CallId CallNumbers::take(std::uint64_t number) {
  const auto at = at_or_after(number);
  if (at == open_.end() || at->number != number) return CallId{};
  const CallId call = at->call;
  last_answered_ = std::max(last_answered_, call);
  open_.erase(at);
  return call;
}

CallId CallNumbers::started_up_to(std::uint64_t number) const {
  auto after = at_or_after(number);
  if (after != open_.end() && after->number == number) ++after;
  return after == open_.begin() ? last_answered_ : std::max(last_answered_, std::prev(after)->call);
}

}  // namespace holdfast::supervisor
