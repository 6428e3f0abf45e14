#include "supervisor/caller_numbers.h"

#include <functional>

namespace holdfast::supervisor {

// A client has one user.
std::size_t CallerNumbers::Hash::operator()(const Caller& caller) const {
  const std::hash<std::uint64_t> hash;
  return hash(static_cast<std::uint64_t>(caller.client)) * 31 + hash(static_cast<std::uint64_t>(caller.function));
}

std::uint32_t CallerNumbers::number_of(const Caller& caller) {
  if (last_ < callers_.size() && callers_[last_] == caller) return last_;
  auto found = numbers_.find(caller);
  if (found == numbers_.end()) {
    Caller known = caller;
    const auto functions = functions_.find(caller.client);
    if (functions != functions_.end() && functions->second >= kMostFunctions) {
      known.function = kAnyFunction;
      found = numbers_.find(known);
    }
    if (found == numbers_.end()) {
      if (is_full()) return kOthers;
      ++functions_[caller.client];
      found = numbers_.emplace(known, static_cast<std::uint32_t>(callers_.size())).first;
      callers_.push_back(known);
    }
  }
  last_ = found->second;
  return last_;
}

std::optional<Caller> CallerNumbers::find(std::uint32_t number) const {
  if (number >= callers_.size()) return std::nullopt;
  return callers_[number];
}

}  // namespace holdfast::supervisor
