// Connects to holdfastd as another user, which needs root.
#pragma once

#include <doctest/doctest.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "tests/support/as_nobody.h"

namespace holdfast::test {

// While an object of this class exists, sockets connect as this user (unix(7), SO_PEERCRED).
class As {
 public:
  explicit As(std::optional<uid_t> user) : before_(::geteuid()) {
    if (user) REQUIRE(::seteuid(*user) == 0);
  }
  ~As() { (void)!::seteuid(before_); }
  As(const As&) = delete;
  As& operator=(const As&) = delete;

 private:
  const uid_t before_;
};

// The users as which an attacker connects: nullopt for the good client's own user, and another user if the tests run as
// root.
inline std::vector<std::optional<uid_t>> attackers() {
  if (::geteuid() != 0 || is_for_nobody()) return {std::nullopt};
  return {std::nullopt, kNobody};
}

}  // namespace holdfast::test
