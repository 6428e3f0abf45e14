// System calls of the closer, the process that closes sockets of clients (supervisor/net/closer.h): it receives
// sockets, and ends.
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "sandbox/policy_rules.h"

namespace holdfast::sandbox {
namespace {

constexpr PolicyRow kPolicy[] = {
    {"poll", kAnyArguments, "waits for sockets to close"},
    {"recvmsg", int_flags_within(2, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), "receives the sockets"},
    {"sendto", int_flags_within(3, MSG_NOSIGNAL), "reports that it is locked down"},
    {"clone", int_equals(0, CLONE_VFORK | SIGCHLD),
     "forks a child that ends with the sockets: closing them by the end of a process does not wait for lingering data"},
    {"wait4", kAnyArguments, "reaps these children"},
    {"rt_sigreturn", kAnyArguments, "the end of a signal's handler"},
    {"restart_syscall", kAnyArguments, "the kernel resumes a wait with it after a stop"},
    {"exit_group", kAnyArguments, "the end of the process"},
};

}  // namespace

std::span<const PolicyRow> closer_policy() { return kPolicy; }

}  // namespace holdfast::sandbox
