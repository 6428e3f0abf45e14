// A supervisor that has been taken over: what its own filter lets it do to the host.
#include <cstring>
#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "ipc/pidfd.h"
#include "ipc/unique_fd.h"
#include "supervisor/shell.h"
#include "tests/unit/sandbox_test_support.h"
#include "tests/unit/supervisor_test_support.h"

using namespace holdfast;
using namespace holdfast::sandbox::test;
using holdfast::supervisor::give_up_rights;
using holdfast::supervisor::testing::TemporaryFolder;

namespace {

// What a process says that has the supervisor's rights and no more.
Ending run_in_shell(const Body& body) {
  return start_child(Caller::itself,
                     [&](SharedNotes& notes) {
                       require(notes, give_up_rights());
                       run_and_leave(notes, body);
                     })
      .finish();
}

sockaddr_un address_of(const std::filesystem::path& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

}  // namespace

TEST_SUITE("supervisor/shell") {
  TEST_CASE("a supervisor that was taken over sends no datagram to a service of the host") {
    const TemporaryFolder folder;
    const sockaddr_un service = address_of(folder / "notify");
    const UniqueFd listener(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&service), sizeof service) == 0);
    for (const bool by_message : {false, true}) {
      CAPTURE(by_message);
      const Ending ending = run_in_shell([&] {
        int ends[2];
        if (::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0) return outcome(-1);
        char text[] = "STOPPING=1";
        if (!by_message) {
          return outcome(
              ::sendto(ends[0], text, sizeof text, 0, reinterpret_cast<const sockaddr*>(&service), sizeof service));
        }
        iovec piece = {text, sizeof text};
        msghdr message = {};
        message.msg_name = const_cast<sockaddr_un*>(&service);
        message.msg_namelen = sizeof service;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        return outcome(::sendmsg(ends[0], &message, 0));
      });
      CHECK_FALSE(ending.said == "ok");
      char received[64];
      CHECK(::recv(listener.get(), received, sizeof received, MSG_DONTWAIT) < 0);
    }
  }

  TEST_CASE("a supervisor that was taken over learns of no file by its path") {
    const TemporaryFolder folder;
    const auto secret = folder.write("secret", "four");
    const Ending ending = run_in_shell([&] {
      struct stat found = {};
      const long result = ::syscall(SYS_newfstatat, AT_FDCWD, secret.c_str(), &found, AT_EMPTY_PATH);
      return result == 0 ? std::to_string(found.st_size) : outcome(result);
    });
    CHECK_FALSE(ending.said == "4");
  }

  // A client can send it one by SCM_RIGHTS; whoever holds CAP_KILL then kills anything on the host.
  TEST_CASE("a supervisor that was taken over kills no process that its zygotes did not make") {
    if (::geteuid() != 0) return;
    const RunningChild victim = start_child(Caller::nobody, [](SharedNotes&) { ::pause(); });
    const UniqueFd pidfd = open_pidfd(victim.pid());
    const Ending ending = run_in_shell([&] { return send_signal(pidfd, SIGKILL) ? std::string("ok") : outcome(-1); });
    CHECK_FALSE(ending.said == "ok");
    ::kill(victim.pid(), SIGKILL);
    RunningChild(victim).finish();
  }
}
