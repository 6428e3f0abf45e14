#include "sandbox/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace holdfast::sandbox {
namespace {

constexpr std::string_view kLayer = "privileges";

using CapabilitySets = std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3>;

// Root gains nothing by being root, changes of ids do not change capabilities, no capability survives setuid(2), and
// the ambient set stays empty. Each bit is locked for the process and its children.
constexpr unsigned long kSecurebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                                      SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                                      SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

tl::expected<bool, SetupError> may_change_bounds() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  CapabilitySets held{};
  if (syscall(SYS_capget, &header, held.data()) != 0) return setup_failure(kLayer, "capget", errno);
  return (held[CAP_TO_INDEX(CAP_SETPCAP)].effective & CAP_TO_MASK(CAP_SETPCAP)) != 0;
}

void lock_bounds(Failures& failures) {
  if (prctl(PR_SET_SECUREBITS, kSecurebits) != 0) {
    failures.note(setup_failure(kLayer, "prctl(PR_SET_SECUREBITS)", errno));
  }
  // The kernel returns EINVAL past its last capability.
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (prctl(PR_CAPBSET_DROP, capability) != 0) {
      return failures.note(setup_failure(kLayer, "prctl(PR_CAPBSET_DROP)", errno));
    }
  }
}

SetupResult empty_capability_sets() {
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) {
    return setup_failure(kLayer, "prctl(PR_CAP_AMBIENT_CLEAR_ALL)", errno);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const CapabilitySets none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return setup_failure(kLayer, "capset(none)", errno);
  return {};
}

}  // namespace

SetupResult drop_privileges() {
  Failures failures;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    failures.note(setup_failure(kLayer, "prctl(PR_SET_NO_NEW_PRIVS)", errno));
  }
  // Without CAP_SETPCAP the bounds cannot be changed. They do not matter then: they limit what execve(2) can grant,
  // and with no_new_privs it grants nothing.
  const tl::expected<bool, SetupError> changeable = may_change_bounds();
  if (!changeable) failures.note(tl::unexpected(changeable.error()));
  if (changeable && *changeable) lock_bounds(failures);
  failures.note(empty_capability_sets());
  if (prctl(PR_SET_DUMPABLE, 0) != 0) failures.note(setup_failure(kLayer, "prctl(PR_SET_DUMPABLE, 0)", errno));
  return std::move(failures).first();
}

SetupResult become_nobody() {
  constexpr std::string_view advice =
      "root without the right to change its ids: start as an ordinary user, or grant CAP_SETUID and CAP_SETGID and "
      "map id 65534 into the container";
  if (setgroups(0, nullptr) != 0) return setup_failure(kLayer, "setgroups(none)", errno, advice);
  if (setresgid(kNobody, kNobody, kNobody) != 0) return setup_failure(kLayer, "setresgid(65534)", errno, advice);
  if (setresuid(kNobody, kNobody, kNobody) != 0) return setup_failure(kLayer, "setresuid(65534)", errno, advice);
  return {};
}

SetupResult join_new_session_keyring() {
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0) return {};
  // ENOSYS and EPERM: the kernel has no keys, or a container's filter refuses keyctl(2) to this process and every
  // child, so no keyring can be reached. EDQUOT: the user has no room for another key, but the workers' own filter
  // keeps them from keyctl(2).
  if (errno == ENOSYS || errno == EPERM || errno == EDQUOT) return {};
  return setup_failure(kLayer, "keyctl(KEYCTL_JOIN_SESSION_KEYRING)", errno);
}

SetupResult keep_capabilities_over_exec() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  CapabilitySets held{};
  if (syscall(SYS_capget, &header, held.data()) != 0) return setup_failure(kLayer, "capget", errno);
  for (auto& set : held) set.inheritable = set.permitted;
  if (syscall(SYS_capset, &header, held.data()) != 0) return setup_failure(kLayer, "capset(inheritable)", errno);
  for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if ((held[CAP_TO_INDEX(capability)].permitted & CAP_TO_MASK(capability)) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) {
      return setup_failure(kLayer, "prctl(PR_CAP_AMBIENT_RAISE)", errno);
    }
  }
  return {};
}

SetupResult die_with_parent(int signal) {
  if (prctl(PR_SET_PDEATHSIG, signal) != 0) return setup_failure(kLayer, "prctl(PR_SET_PDEATHSIG)", errno);
  return {};
}

}  // namespace holdfast::sandbox
