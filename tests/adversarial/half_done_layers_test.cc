// What surrounds the daemon when it starts, and what of that must not get in, or come to harm.
#include <algorithm>
#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/support/as_nobody.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/waiting.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

std::string script(const TemporaryFolder& folder, const std::string& text) {
  const fs::path path = folder.write("start", "#!/bin/sh\n" + text);
  fs::permissions(path, fs::perms(0755));
  fs::permissions(folder.path(), fs::perms(0755));
  return path;
}

// In a mount namespace of the test's own, which stands for the host's or a container's.
TEST_CASE("where namespaces cannot be made, and need not be, the host's root directory stays what it is") {
  if (::geteuid() != 0 || is_for_nobody()) return;
  const TemporaryFolder folder;
  const std::string start = script(
      folder, fmt::format("exec unshare -m setpriv --bounding-set=-setgid,-setuid {} \"$@\"\n", supervisor_program()));
  const Daemon daemon(
      {.modules = {},
       .flags = {"--allow-missing", "namespaces", "--allow-missing", "root", "--allow-missing", "supervisor"},
       .supervisor = start});
  const std::string root = fmt::format("/proc/{}/root", daemon.pid());
  CHECK(fs::exists(root + "/etc"));
  CHECK(fs::exists(root + "/proc/self"));
}

TEST_CASE("the supervisor holds no descriptor that its parent left open") {
  if (::geteuid() != 0) return;
  const TemporaryFolder folder;
  const fs::path secret = folder.write("secret", "of the parent");
  const std::string start = script(folder, fmt::format("exec 5<{} {} \"$@\"\n", secret.string(), supervisor_program()));
  fs::permissions(secret, fs::perms(0644));
  const Daemon daemon({.modules = {}, .flags = {}, .supervisor = start});
  const auto held = descriptors_of(daemon.pid());
  CHECK(std::find(held.begin(), held.end(), secret.string()) == held.end());
}

}  // namespace
}  // namespace holdfast::test
