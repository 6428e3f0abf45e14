// The environment in which the daemon starts: it must not leak into the sandbox, nor be damaged by it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "tests/support/as_nobody.h"
#include "tests/support/daemon.h"
#include "tests/support/processes.h"
#include "tests/support/program.h"
#include "tests/support/skips.h"
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

// Runs in a mount namespace of its own, which stands for the host's or a container's.
TEST_CASE("where namespaces cannot be made, and need not be, the host's root directory stays what it is" *
          needs_root_for_holdfastd()) {
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

TEST_CASE("the supervisor holds no descriptor that its parent left open" * needs_root()) {
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
