#include "supervisor/settings/allowed_users.h"

#include <fmt/format.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include "ipc/base/text.h"

namespace holdfast::supervisor {

tl::expected<void, std::string> AllowedUsers::add(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return tl::unexpected(fmt::format("\"{}\" {}; expected a user's name, a uid, or any", ipc::shown(text), why));
  };
  if (text.empty()) return fail("is empty");
  if (text == "any") {
    any_ = true;
    return {};
  }
  if (std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; })) {
    // To the kernel, the largest uid means "none" (setresuid(2)).
    constexpr uid_t kNoUser = std::numeric_limits<uid_t>::max();
    uid_t user = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), user);
    if (error != std::errc{} || user == kNoUser) return fail("is not a uid");
    users_.insert(user);
    return {};
  }
  const passwd* user = ::getpwnam(std::string(text).c_str());
  if (user == nullptr) return fail("is not a user of this host");
  users_.insert(user->pw_uid);
  return {};
}

}  // namespace holdfast::supervisor
