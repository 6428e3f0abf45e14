// Advice where namespaces are refused, depending on the surroundings.
#include "sandbox/refusal.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <string>

namespace holdfast::sandbox {
namespace {

bool names(const std::string& advice, const char* part) { return advice.find(part) != std::string::npos; }

TEST_CASE("advice on a refusal names what refuses, and nothing else") {
  CHECK(names(advice_on_refusal(EPERM, {.is_filtered = true}), "seccomp"));
  CHECK_FALSE(names(advice_on_refusal(EPERM, {.is_filtered = true}), "sysctl"));
  CHECK(names(advice_on_refusal(EACCES, {.apparmor_restricts = true}), "apparmor_restrict_unprivileged_userns=0"));
  CHECK(names(advice_on_refusal(EACCES, {.apparmor_profile = "docker-default (enforce)"}), "docker-default"));
  CHECK(names(advice_on_refusal(EPERM, {.clone_is_privileged = true}), "unprivileged_userns_clone=1"));
  CHECK(names(advice_on_refusal(EPERM, {.is_chroot = true}), "chroot"));
  CHECK(names(advice_on_refusal(EPERM, {.ids_are_mapped = false}), "user namespace"));
  CHECK(names(advice_on_refusal(ENOSPC, {.exhausted_limits = "user.max_net_namespaces"}), "user.max_net_namespaces"));
  CHECK(names(advice_on_refusal(ENOSPC, {.is_filtered = true}), "max_user_namespaces"));
  CHECK_FALSE(names(advice_on_refusal(ENOSPC, {.is_filtered = true}), "seccomp"));
}

TEST_CASE("if nothing visible refuses namespaces the advice names what may") {
  const std::string advice = advice_on_refusal(EPERM, {});
  CHECK(names(advice, "unprivileged_userns_clone"));
  CHECK(names(advice, "seccomp"));
  CHECK(advice_on_refusal(ENOMEM, {.is_filtered = true}) == "");
}

}  // namespace
}  // namespace holdfast::sandbox
