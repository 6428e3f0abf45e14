#include "supervisor/workers/caller_numbers.h"

#include <functional>

namespace holdfast::supervisor {

// The user is left out, because a client has only one.
std::size_t CallerNumbers::Hash::operator()(const Caller& caller) const {
  const std::hash<std::uint64_t> hash;
  return hash(static_cast<std::uint64_t>(caller.client)) * 31 + hash(static_cast<std::uint64_t>(caller.function));
}

bool CallerNumbers::is_reserve_in_use() const { return callers_.size() >= kMost - kKeptForUsers; }

// Whether the user's further callers are numbered by the user instead of by their client.
bool CallerNumbers::has_part(UserId user) const {
  if (is_reserve_in_use()) return true;
  const auto numbers = of_users_.find(user);
  return numbers != of_users_.end() && numbers->second >= kMostOfUser;
}

std::uint32_t CallerNumbers::number_of(const Caller& caller) {
  if (last_ < callers_.size() && callers_[last_] == caller) return last_;
  Caller known = caller;
  auto found = numbers_.find(known);
  const auto merge_functions = [&] {
    const auto functions = functions_.find(known.client);
    if (found != numbers_.end() || functions == functions_.end() || functions->second < kMostFunctions) return;
    known.function = kAnyFunction;
    found = numbers_.find(known);
  };
  merge_functions();
  if (found == numbers_.end() && has_part(caller.user)) {
    // Reserved numbers are for users, one each.
    known = {caller.user, rest_of(caller.user), is_reserve_in_use() ? kAnyFunction : caller.function};
    found = numbers_.find(known);
    merge_functions();
  }
  if (found == numbers_.end()) {
    if (callers_.size() >= kMost) return kOthers;
    ++functions_[known.client];
    ++of_users_[known.user];
    found = numbers_.emplace(known, static_cast<std::uint32_t>(callers_.size())).first;
    callers_.push_back(known);
  }
  last_ = found->second;
  return last_;
}

std::optional<Caller> CallerNumbers::find(std::uint32_t number) const {
  if (number >= callers_.size()) return std::nullopt;
  return callers_[number];
}

}  // namespace holdfast::supervisor
