#include "supervisor/answered_calls.h"

#include <algorithm>

namespace holdfast::supervisor {

void AnsweredCalls::add(std::uint64_t number, const Caller& caller) {
  if (!entries_.empty()) {
    Entry& newest = entries_[newest_];
    if (newest.last + 1 == number && newest.caller == caller) {
      newest.last = number;
      return;
    }
  }
  if (entries_.size() < kMostEntries) {
    newest_ = entries_.size();
    entries_.push_back({number, number, caller});
  } else {
    newest_ = (newest_ + 1) % kMostEntries;
    entries_[newest_] = {number, number, caller};
  }
}

std::optional<Caller> AnsweredCalls::find(std::uint64_t number) const {
  const auto found = std::ranges::find_if(
      entries_, [number](const Entry& entry) { return entry.first <= number && number <= entry.last; });
  return found == entries_.end() ? std::nullopt : std::optional(found->caller);
}

}  // namespace holdfast::supervisor
