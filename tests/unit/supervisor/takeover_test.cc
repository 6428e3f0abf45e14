// A compromised supervisor: what its own filter still lets it do to the host.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "ipc/base/pidfd.h"
#include "ipc/base/unique_fd.h"
#include "supervisor/own_sandbox.h"
#include "tests/support/skips.h"
#include "tests/unit/sandbox/test_support.h"
#include "tests/unit/supervisor/test_support.h"

using namespace holdfast;
using namespace holdfast::sandbox::test;
using holdfast::supervisor::give_up_rights;
using holdfast::supervisor::testing::TemporaryFolder;

namespace {

// Runs the body in a process with the supervisor's rights only.
Ending run_in_own_sandbox(const Body& body) {
  return start_child(Caller::itself,
                     [&](SharedNotes& notes) {
                       require(notes, give_up_rights(sandbox::ClientDescriptors::refused));
                       run_and_leave(notes, body);
                     })
      .finish();
}

}  // namespace

TEST_SUITE("supervisor/own_sandbox") {
  TEST_CASE("a compromised supervisor cannot learn about a file by its path") {
    const TemporaryFolder folder;
    const auto secret = folder.write("secret", "four");
    const Ending ending = run_in_own_sandbox([&] {
      struct stat found = {};
      const long result = ::syscall(SYS_newfstatat, AT_FDCWD, secret.c_str(), &found, AT_EMPTY_PATH);
      return result == 0 ? std::to_string(found.st_size) : outcome(result);
    });
    CHECK_FALSE(ending.said == "4");
  }

  // A client can send a pidfd by SCM_RIGHTS, and a process with CAP_KILL could then kill any process on the host.
  TEST_CASE("a supervisor that was taken over kills no process of another user" * test::needs_root()) {
    const RunningChild victim = start_child(Caller::itself, [](SharedNotes&) { ::pause(); });
    const UniqueFd pidfd = open_pidfd(victim.pid());
    const Ending ending =
        run_in_own_sandbox([&] { return send_signal(pidfd, SIGKILL) ? std::string("ok") : outcome(-1); });
    CHECK_FALSE(ending.said == "ok");
    ::kill(victim.pid(), SIGKILL);
    RunningChild(victim).finish();
  }
}
