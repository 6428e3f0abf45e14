// System calls of the supervisor once it serves: move bytes between sockets that it has or receives, wait, allocate,
// and signal processes whose pidfd it holds. No row opens a file, connects, or starts or traces a process.
#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/socket.h>

#include "ipc/base/pidfd.h"
#include "sandbox/policy_rules.h"

namespace holdfast::sandbox {
namespace {

constexpr ArgumentRule kSharedPage{
    .conditions = {{{2, ~std::uint64_t{PROT_READ | PROT_WRITE}, 0}, {3, ~std::uint64_t{0}, MAP_SHARED}}},
    .condition_count = 2};

constexpr ArgumentRule kSendToPeer{
    .conditions = {{{3, kIntMask & ~std::uint64_t{MSG_DONTWAIT | MSG_NOSIGNAL}, 0}, {4, ~std::uint64_t{0}, 0}}},
    .condition_count = 2};

constexpr ArgumentRule kPacketPair{
    .conditions = {{{0, kIntMask, AF_UNIX}, {1, kIntMask, SOCK_SEQPACKET | SOCK_CLOEXEC}}}, .condition_count = 2};

constexpr ArgumentRule kPeerCredentials{.conditions = {{{1, kIntMask, SOL_SOCKET}, {2, kIntMask, SO_PEERCRED}}},
                                        .condition_count = 2};

constexpr ArgumentRule kUrgentInLine{.conditions = {{{1, kIntMask, SOL_SOCKET}, {2, kIntMask, SO_OOBINLINE}}},
                                     .condition_count = 2};

constexpr PolicyRow kPolicy[] = {
    {"epoll_wait", kAnyArguments, "the event loop"},
    {"epoll_pwait", kAnyArguments, "the event loop, on architectures without epoll_wait(2)"},
    {"epoll_ctl", kAnyArguments, "sockets join and leave the event loop"},
    {"timerfd_settime", kAnyArguments, "the event loop's timer"},
    {"accept", kAnyArguments, "accepts clients"},
    {"accept4", kAnyArguments, "accepts clients, with other versions of Boost.Asio"},
    {"getsockopt", kPeerCredentials, "which user a client belongs to"},
    {"ioctl", int_equals(1, FIONBIO), "Boost.Asio makes sockets non-blocking"},
    {"ioctl", int_equals(1, kPidfdGetInfo), "the pid behind a worker's pidfd, for the clock of its CPU time"},
    {"recvfrom", int_flags_within(3, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_PEEK), "reads from clients and workers"},
    {"sendto", kSendToPeer, "answers clients, calls workers. Without an address: only to the socket's own peer"},
    {"recvmsg", int_flags_within(2, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_CLOEXEC),
     "messages of the zygote and the broker, with descriptors"},
    {"sendmsg", int_flags_within(2, MSG_DONTWAIT | MSG_NOSIGNAL),
     "requests to the zygote and the broker; large payloads, which are sent in place; with --direct-line, a worker's "
     "line to the client that asked for it"},
    {"shutdown", kAnyArguments, "ends a connection"},
    {"close", kAnyArguments, "ends a connection"},
    {"poll", kAnyArguments, "waits for the broker's answer; checks whether the log takes more"},
    {"socketpair", kPacketPair,
     "the control socket of another zygote. Only of a type that cannot send to any other peer"},
    {"pidfd_send_signal", kAnyArguments, "stops and kills workers, by the pidfds that zygotes send"},
    {"wait4", kAnyArguments, "reaps the broker"},

    {"read", kAnyArguments,
     "modules and settings that the broker has opened, signals, timers, and events of inotify(7)"},
    {"pread64", kAnyArguments, "files in /proc that the broker has opened for a worker"},
    {"write", kAnyArguments, "the log, --ready-fd, and waking the event loop"},
    {"writev", kAnyArguments, "the C library's message before it aborts"},
    {"lseek", kAnyArguments, "the C library closes standard input and output"},
    {"fstat", kAnyArguments, "the size of a module and of a shared page. Not newfstatat(2), which takes a path"},
    {"fcntl", int_equals(1, F_GET_SEALS), "a worker's page must be sealed"},

    {"mmap", kPrivateMemory, "malloc(3)"},
    {"mmap", kSharedPage, "a worker's page"},
    {"munmap", kAnyArguments, "frees memory of mmap"},
    {"mprotect", kPlainProtection, "malloc(3)"},
    {"mremap", kAnyArguments, "realloc(3) of large payloads"},
    {"madvise", int_equals(2, MADV_DONTNEED), "malloc(3) gives pages back"},
    {"brk", kAnyArguments, "malloc(3)'s main heap"},
    {"futex", int_equals(1, FUTEX_WAKE_PRIVATE), "the C library wakes waiters, although there are none"},

    {"clock_gettime", kAnyArguments, "time, and the CPU time of workers"},
    {"clock_getres", kAnyArguments, "clock_getcpuclockid(3) checks that the worker exists"},
    {"gettimeofday", kAnyArguments, "time, if there is no vDSO"},
    {"rt_sigaction", kAnyArguments, "the event loop gives up its signals at the end"},
    {"rt_sigprocmask", kAnyArguments, "the event loop gives up its signals at the end"},
    {"rt_sigreturn", kAnyArguments, "the end of a signal's handler"},
    {"restart_syscall", kAnyArguments, "the kernel resumes a wait with it after a stop"},
    {"getrandom", kAnyArguments, "the tags of request ids, which workers must not be able to guess"},
    {"getpid", kAnyArguments, "the log"},
    {"gettid", kAnyArguments, "the log"},
    {"exit_group", kAnyArguments, "the end of the process"},

    // From here on: only where clients can send descriptors.
    {"recvmsg", int_flags_within(2, MSG_DONTWAIT | MSG_PEEK),
     "before Linux 6.16: looks for descriptors before it reads from a client"},
    {"setsockopt", kUrgentInLine, "before Linux 6.16: lets that check see out-of-band bytes, too"},
};
constexpr std::size_t kDescriptorRows = 2;

}  // namespace

std::span<const PolicyRow> supervisor_policy(ClientDescriptors descriptors) {
  const std::span<const PolicyRow> all(kPolicy);
  return descriptors == ClientDescriptors::possible ? all : all.first(all.size() - kDescriptorRows);
}

}  // namespace holdfast::sandbox
