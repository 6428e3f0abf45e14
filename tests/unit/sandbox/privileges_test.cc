#include "sandbox/privileges.h"

#include <doctest/doctest.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <string>

#include "tests/support/skips.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

namespace {

constexpr int kSecurebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                            SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                            SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

Ending run_dropped_in_namespaces(Caller caller, const Body& body) {
  return start_sealed(caller,
                      [&](SharedNotes& notes) {
                        require(notes, drop_privileges());
                        run_and_leave(notes, body);
                      })
      .finish();
}

std::string held_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[_LINUX_CAPABILITY_U32S_3]{};
  if (syscall(SYS_capget, &header, held) != 0) return "capget";
  for (const __user_cap_data_struct& half : held) {
    if ((half.effective | half.permitted | half.inheritable) != 0) return "some";
  }
  return "none";
}

}  // namespace

TEST_CASE("after the drop no capability is held, none can come back, and no program can bring new privileges") {
  for (const Caller caller : callers()) {
    const Ending ending = run_dropped_in_namespaces(caller, [] {
      for (unsigned long capability = 0;; ++capability) {
        const int bounded = prctl(PR_CAPBSET_READ, capability);
        if (bounded < 0) break;
        if (bounded != 0) return "in the bounding set: " + std::to_string(capability);
        if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, capability, 0, 0) != 0) return std::string("ambient");
      }
      if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) return std::string("new privileges");
      if (prctl(PR_GET_SECUREBITS) != kSecurebits) return std::string("securebits");
      if (prctl(PR_SET_SECUREBITS, 0) == 0) return std::string("securebits unlocked");
      if (prctl(PR_SET_KEEPCAPS, 1) == 0) return std::string("keepcaps");
      return held_capabilities();
    });
    INFO(name(caller));
    CHECK(ending.exited(0));
    CHECK(ending.said == "none");
  }
}

TEST_CASE("dropping works without namespaces and without a capability to drop") {
  for (const Caller caller : callers()) {
    const Ending ending = run_child(caller, [] {
      const SetupResult done = drop_privileges();
      return done ? held_capabilities() : done.error().message;
    });
    INFO(name(caller));
    CHECK(ending.said == "none");
  }
}

TEST_CASE("dropping twice is dropping once") {
  for (const Caller caller : callers()) {
    const Ending ending = run_dropped_in_namespaces(caller, [] {
      const SetupResult again = drop_privileges();
      return again ? std::string("fine") : again.error().message;
    });
    INFO(name(caller));
    CHECK(ending.said == "fine");
  }
}

TEST_CASE("a process of the same user cannot trace or read a process that dropped its privileges") {
  const Ending ending = run_child(callers().back(), [] {
    SocketPair sockets;
    const pid_t victim = fork();
    if (victim == 0) {
      if (!drop_privileges()) _exit(1);
      send(sockets.theirs, "x", 1, 0);
      char byte;
      recv(sockets.theirs, &byte, 1, 0);
      _exit(0);
    }
    char byte = 0;
    recv(sockets.mine, &byte, 1, 0);
    iovec mine{&byte, 1};
    iovec theirs{&byte, 1};
    const std::string memory = "/proc/" + std::to_string(victim) + "/mem";
    const std::string said =
        in_order({outcome(ptrace(PTRACE_SEIZE, victim, nullptr, nullptr)),
                  outcome(process_vm_readv(victim, &mine, 1, &theirs, 1, 0)), outcome(open(memory.c_str(), O_RDONLY))});
    send(sockets.mine, "x", 1, 0);
    wait_for(victim);
    return said;
  });
  CHECK(ending.said == "EPERM EPERM EACCES");
}

TEST_CASE("a new session keyring hides the keys of the session that started the process") {
  const Ending ending = run_child(callers().back(), [] {
    const auto search = [] {
      return outcome(syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "holdfast-test", 0));
    };
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) return std::string("no keys here");
    if (syscall(SYS_add_key, "user", "holdfast-test", "secret", 6, KEY_SPEC_SESSION_KEYRING) < 0) {
      return std::string("no keys here");
    }
    const std::string before = search();
    if (!join_new_session_keyring()) return std::string("join");
    return before + " " + search();
  });
  if (ending.said == "no keys here")
    return holdfast::test::skip_this_test("this kernel or container offers no keyrings");
  CHECK(ending.said == "ok ENOKEY");
}

TEST_CASE("a process that asked to die with its parent does") {
  for (const Caller caller : callers()) {
    int alive[2];
    REQUIRE(pipe2(alive, O_CLOEXEC) == 0);
    const Ending ending = run_child(caller, [&] {
      SocketPair sockets;
      if (fork() == 0) {
        // The child has the pipe's write end; only the kernel can end it.
        if (!die_with_parent(SIGKILL)) _exit(1);
        send(sockets.theirs, "x", 1, 0);
        for (;;) pause();
      }
      char byte;
      recv(sockets.mine, &byte, 1, 0);
      return std::string("child is ready");
    });
    close(alive[1]);
    char byte;
    INFO(name(caller));
    CHECK(ending.said == "child is ready");
    CHECK(read(alive[0], &byte, 1) == 0);
    close(alive[0]);
  }
}
