// Runs a program in surroundings like a container's: without some capabilities, and with some system calls refused.
//   confine [--drop=CAPABILITY]... [--refuse=CALL]... PROGRAM [ARGUMENT]...
#include <linux/capability.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(126);
}

void drop(int capability) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];
  if (::prctl(PR_CAPBSET_DROP, capability) != 0) fail("prctl(PR_CAPBSET_DROP)");
  if (::syscall(SYS_capget, &header, sets) != 0) fail("capget");
  auto& set = sets[CAP_TO_INDEX(capability)];
  for (auto* bits : {&set.effective, &set.permitted, &set.inheritable}) *bits &= ~CAP_TO_MASK(capability);
  if (::syscall(SYS_capset, &header, sets) != 0) fail("capset");
}

}  // namespace

int main(int, char** argv) {
  const scmp_filter_ctx filter = ::seccomp_init(SCMP_ACT_ALLOW);
  bool refuses = false;
  char** at = argv + 1;
  for (; *at != nullptr; ++at) {
    const std::string_view argument = *at;
    constexpr std::string_view kDrop = "--drop=", kRefuse = "--refuse=";
    if (argument.starts_with(kRefuse)) {
      const int call = ::seccomp_syscall_resolve_name(argument.data() + kRefuse.size());
      if (::seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0) != 0) fail(argument.data());
      refuses = true;
    } else if (argument.starts_with(kDrop)) {
      drop(std::atoi(argument.data() + kDrop.size()));
    } else {
      break;
    }
  }
  // A container engine loads its filter while it is privileged, without setting no_new_privs.
  if (::geteuid() == 0) ::seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 0);
  if (refuses && ::seccomp_load(filter) != 0) fail("seccomp_load");
  if (*at != nullptr) ::execvp(*at, at);
  fail(*at == nullptr ? "confine" : *at);
}
