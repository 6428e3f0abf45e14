// Queues of what waits for the supervisor, one for each user. Users are served round-robin, and each user's items in
// the order in which they came. Pure. Operations take time logarithmic in the number of users that wait, except that
// take() passes over users for which `may_go` returns false one by one.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

template <typename T>
class UserTurns {
 public:
  bool empty() const { return lines_.empty(); }

  void add(UserId user, T waiting) { lines_[user].push_back(std::move(waiting)); }

  // Takes out the next item, with its user, from the next user for which `may_go` returns true; nullopt: there is none.
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
  UserId last_{};                          // the user served last
};

}  // namespace holdfast::supervisor
