// The local users that may do what other clients may not: register as a loader of module code (--allow-loader), or
// read what modules log (--allow-logs).
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

namespace holdfast::supervisor {

class AllowedUsers {
 public:
  // `text` is a user's name, a uid, or "any". A name is looked up at once, in the host's user database. The error
  // says what is wrong with `text`.
  tl::expected<void, std::string> add(std::string_view text);

  void add(uid_t user) { users_.insert(user); }

  // Whether `user`, or "any", was added.
  bool covers(uid_t user) const { return any_ || users_.contains(user); }

 private:
  bool any_ = false;
  std::set<uid_t> users_;
};

}  // namespace holdfast::supervisor
