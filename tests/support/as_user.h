// Connecting as another user, where the tests run as root.
#pragma once

#include <unistd.h>

#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/as_nobody.h"

namespace holdfast::test {

// While it lives, sockets are connected as this user (unix(7), SO_PEERCRED).
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

// As whom an attacker connects: as the good client's user, and as another.
inline std::vector<std::optional<uid_t>> attackers() {
  if (::geteuid() != 0 || is_for_nobody()) return {std::nullopt};
  return {std::nullopt, kNobody};
}

}  // namespace holdfast::test
