// Layers that cannot be set up in full, and that the operator allows to be missing: the part that is possible is set
// up.
#include <doctest/doctest.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

#include "sandbox/limits.h"
#include "sandbox/privileges.h"
#include "tests/support/skips.h"
#include "tests/unit/sandbox/test_support.h"

using namespace holdfast::sandbox;
using namespace holdfast::sandbox::test;

TEST_SUITE("sandbox/half done") {
  TEST_CASE("a limit that is already lower is not a failure and all others are set") {
    const Ending ending = run_child(Caller::nobody, [] {
      const rlimit low{1 << 20, 1 << 20};
      if (setrlimit(RLIMIT_STACK, &low) != 0) return outcome(-1);
      const auto applied = apply_limits({.stack_bytes = 8 << 20, .cpu_time = std::chrono::seconds(7)});
      rlimit processes{}, cpu{}, files{};
      getrlimit(RLIMIT_NPROC, &processes);
      getrlimit(RLIMIT_CPU, &cpu);
      getrlimit(RLIMIT_FSIZE, &files);
      return std::string(applied ? "applied" : "failed") + (processes.rlim_max == 0 ? ", no processes" : "") +
             (cpu.rlim_max == 7 ? ", 7 s" : "") + (files.rlim_max == 0 ? ", no files" : "");
    });
    CHECK(ending.said == "applied, no processes, 7 s, no files");
  }

  TEST_CASE("capabilities are given up though the securebits cannot be set" * holdfast::test::needs_root()) {
    const Ending ending = run_child(Caller::itself, [] {
      if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED) != 0) return outcome(-1);
      const auto dropped = drop_privileges();
      __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
      __user_cap_data_struct held[2] = {};
      syscall(SYS_capget, &header, held);
      return std::string(dropped ? "dropped" : "failed") +
             ((held[0].permitted | held[1].permitted) == 0 ? ", no capability" : ", capabilities") +
             (prctl(PR_GET_DUMPABLE) == 0 ? ", not dumpable" : ", dumpable");
    });
    CHECK(ending.said == "failed, no capability, not dumpable");
  }

  // With --isolation exec, each worker takes one of the 200 keys that all processes of a uid may have together
  // (kernel.keys.maxkeys). Workers of a root supervisor use the quota of the user nobody, which any other process of
  // that user can use up.
  TEST_CASE("privileges are dropped even if no further key can be created") {
    const Ending ending = run_child(Caller::nobody, [] {
      if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) < 0) return outcome(-1);
      for (int i = 0; i < 1000; ++i) {
        const std::string name = "key" + std::to_string(i);
        if (syscall(SYS_add_key, "user", name.c_str(), "x", 1, KEY_SPEC_SESSION_KEYRING) < 0) break;
      }
      const auto dropped = drop_privileges();
      return dropped ? std::string("dropped") : dropped.error().message;
    });
    CHECK(ending.said == "dropped");
  }
}
