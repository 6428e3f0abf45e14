// What waits for the supervisor, in lines of which each user has one: users take turns, and in each line what came
// first is first. Pure; every operation takes time that grows with the logarithm of the users that wait.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "supervisor/ids.h"

namespace holdfast::supervisor {

template <typename T>
class UserTurns {
 public:
  bool empty() const { return lines_.empty(); }

  void add(UserId user, T waiting) { lines_[user].push_back(std::move(waiting)); }

  // The one whose turn it is, with its user, of the users that `may_go` lets; nothing: none waits.
  template <typename MayGo>
  std::optional<std::pair<UserId, T>> take(MayGo may_go) {
    auto line = lines_.upper_bound(last_);
    for (std::size_t looked = 0; looked < lines_.size(); ++looked, ++line) {
      if (line == lines_.end()) line = lines_.begin();
      if (!may_go(line->first)) continue;
      last_ = line->first;
      T next = std::move(line->second.front());
      line->second.pop_front();
      if (line->second.empty()) lines_.erase(line);
      return std::pair(last_, std::move(next));
    }
    return std::nullopt;
  }

  // Calls `look` with each user that has something waiting.
  template <typename Look>
  void for_each_user(Look look) const {
    for (const auto& [user, line] : lines_) look(user);
  }

 private:
  std::map<UserId, std::deque<T>> lines_;  // none is empty
  UserId last_{};                          // whose turn was the last
};

}  // namespace holdfast::supervisor
