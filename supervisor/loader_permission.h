// Which local users may register as loaders of module code (--allow-loader). A loader says what modules are: whoever
// may be one decides what code runs under any module's name that it serves.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include <sys/types.h>

#include <tl/expected.hpp>

namespace holdfast::supervisor {

class LoaderPermission {
 public:
  // A user's name, a uid, or "any". Names are looked up at once, in the host's user database. The error says what is
  // wrong with `text`.
  tl::expected<void, std::string> add(std::string_view text);

  // Nobody is covered who was not added.
  bool covers(uid_t user) const { return any_ || users_.contains(user); }

 private:
  bool any_ = false;
  std::set<uid_t> users_;
};

}  // namespace holdfast::supervisor
