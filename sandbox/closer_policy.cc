// System calls of the closer, the process that closes sockets of clients (supervisor/net/closer.h): it receives sockets,
// and ends.
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "sandbox/policy_rules.h"

namespace holdfast::sandbox {
namespace {

constexpr PolicyRow kPolicy[] = {
    {"poll", kAnyArguments, "waits for sockets to close"},
    {"recvmsg", int_flags_within(2, MSG_DONTWAIT | MSG_CMSG_CLOEXEC), "takes them"},
    {"sendto", int_flags_within(3, MSG_NOSIGNAL), "says that it is locked up"},
    {"clone", int_equals(0, CLONE_VFORK | SIGCHLD),
     "a process that ends with what it took: its end closes without waiting for data that lingers"},
    {"wait4", kAnyArguments, "the ends of these"},
    {"rt_sigreturn", kAnyArguments, "the end of a signal's handler"},
    {"restart_syscall", kAnyArguments, "the kernel's own way to resume a wait after a stop"},
    {"exit_group", kAnyArguments, "the end of the process"},
};

}  // namespace

std::span<const PolicyRow> closer_policy() { return kPolicy; }

}  // namespace holdfast::sandbox
