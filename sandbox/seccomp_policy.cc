#include "sandbox/seccomp_policy.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>

#include "sandbox/policy_rules.h"

namespace holdfast::sandbox {
namespace {

// --- the table ------------------------------------------------------------------------------------------------------

constexpr PolicyRow kPolicy[] = {
    // A worker has no descriptors but its stream socket (two with --direct-line), so no row looks at descriptors.
    {"recvfrom", int_flags_within(3, MSG_DONTWAIT),
     "reads from the supervisor, and from the client of its direct line. Without MSG_OOB and MSG_PEEK: memory errors "
     "in their rarely used kernel code were reached from sandboxes (CVE-2025-38236)"},
    {"sendto", int_flags_within(3, MSG_DONTWAIT | MSG_NOSIGNAL),
     "answers the supervisor and the client. Without MSG_OOB, for the same reason as recvfrom"},
    {"ppoll", is_null(3),
     "waits for its sockets and for timers. Without a signal mask, which could block the soft stop"},

    // Memory: private and anonymous only, so that RLIMIT_DATA counts what is written. It counts neither shared
    // mappings nor those that grow downwards (MAP_GROWSDOWN).
    {"mmap", kPrivateMemory, "the heaps of V8 and malloc(3). Never executable from the start"},
    {"munmap", kAnyArguments, "frees memory of mmap"},
    {"mprotect", kPlainProtection, "V8 reserves address space first and makes it usable later. Without PROT_GROWSDOWN"},
    {"madvise", int_equals(2, MADV_DONTNEED), "V8 gives pages back"},
    // No mremap(2): it could enlarge the stack, which RLIMIT_DATA does not count. worker/v8/native_memory.cc does
    // without it.
    {"brk", kAnyArguments, "malloc(3)'s main heap"},

    // Usually answered by the vDSO without a system call, but not on every virtual machine. Clock ids above 3 are not
    // used. Negative ids stand for the CPU clocks of other processes, which would let a worker watch its neighbours.
    {"clock_gettime", int_flags_within(0, 3), "time, and the CPU time of its own process and thread"},
    {"gettimeofday", kAnyArguments, "time, as Intl asks for it"},

    {"getrandom", int_flags_within(2, GRND_NONBLOCK),
     "seeds libcrypto's random number generators, at their first use in a process and again from time to time. Without "
     "GRND_RANDOM, which may block"},

    {"rt_sigreturn", kAnyArguments, "the end of the handler for the soft stop"},
    {"getpid", kAnyArguments,
     "V8's garbage collector puts the process id into its trace line of each cycle; libcrypto checks for a fork before "
     "it returns random numbers"},
    {"exit_group", kAnyArguments, "the end of the process"},

    // Up to here: Profile::strict. From here on, Profile::jit only.
    {"mprotect", kExecutableProtection, "V8 makes the pages of its compiled code executable after it has written them"},
};
constexpr std::size_t kJitRows = 1;

// --- compiling and loading it ---------------------------------------------------------------------------------------

constexpr std::string_view kLayer = "seccomp";

struct ReleaseFilter {
  void operator()(void* filter) const { seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, ReleaseFilter>;

// libseccomp returns errno values negated.
SetupResult check(int result, std::string_view call) {
  if (result < 0) return setup_failure(kLayer, call, -result);
  return {};
}

SetupResult add_row(const Filter& filter, const PolicyRow& row) {
  const int number = seccomp_syscall_resolve_name(row.system_call);
  if (number == __NR_SCMP_ERROR) {
    return setup_failure(kLayer, std::string("seccomp_syscall_resolve_name ") + row.system_call, ENOENT);
  }
  std::array<scmp_arg_cmp, std::tuple_size_v<decltype(row.rule.conditions)>> comparisons{};
  for (std::size_t i = 0; i < row.rule.condition_count; ++i) {
    const ArgumentCondition& condition = row.rule.conditions[i];
    comparisons[i] = {condition.argument, SCMP_CMP_MASKED_EQ, condition.mask, condition.value};
  }
  return check(seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, number,
                                      static_cast<unsigned>(row.rule.condition_count), comparisons.data()),
               std::string("seccomp_rule_add_array ") + row.system_call);
}

// libseccomp 2.5 exports to a descriptor only.
tl::expected<SeccompProgram, SetupError> export_program(const Filter& filter) {
  const int fd = memfd_create("seccomp", MFD_CLOEXEC);
  if (fd < 0) return setup_failure(kLayer, "memfd_create", errno);
  SeccompProgram program;
  SetupResult done = check(seccomp_export_bpf(filter.get(), fd), "seccomp_export_bpf");
  if (done) {
    const off_t size = lseek(fd, 0, SEEK_END);
    program.instructions.resize(static_cast<std::size_t>(size) / sizeof(sock_filter));
    if (pread(fd, program.instructions.data(), static_cast<std::size_t>(size), 0) != size) {
      done = setup_failure(kLayer, "pread(exported program)", errno);
    }
  }
  close(fd);
  if (!done) return tl::unexpected(done.error());
  return program;
}

}  // namespace

std::span<const PolicyRow> policy(Profile profile) {
  const std::span<const PolicyRow> all(kPolicy);
  return profile == Profile::jit ? all : all.first(all.size() - kJitRows);
}

tl::expected<SeccompProgram, SetupError> compile(std::span<const PolicyRow> rows) {
  const Filter filter(seccomp_init(SCMP_ACT_TRAP));
  if (filter == nullptr) return setup_failure(kLayer, "seccomp_init", ENOMEM);
  SetupResult done = check(seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS),
                           "seccomp_attr_set(SCMP_FLTATR_ACT_BADARCH)");
  for (const PolicyRow& row : rows) {
    if (done) done = add_row(filter, row);
  }
  if (!done) return tl::unexpected(done.error());
  return export_program(filter);
}

SetupResult load(const SeccompProgram& program) {
  const sock_fprog filter{static_cast<unsigned short>(program.instructions.size()),
                          const_cast<sock_filter*>(program.instructions.data())};
  const long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter);
  if (result == 0) return {};
  // With TSYNC, a positive result is the thread that could not be locked.
  if (result > 0) return setup_failure(kLayer, "seccomp(SECCOMP_SET_MODE_FILTER) for another thread", EBUSY);
  return setup_failure(
      kLayer, "seccomp(SECCOMP_SET_MODE_FILTER)", errno,
      errno == EACCES ? "no_new_privs must be set first" : "the kernel must be built with CONFIG_SECCOMP_FILTER");
}

std::string_view syscall_name(int number) {
  // The tables of both 64-bit architectures end well below this.
  constexpr std::size_t kNumbers = 1024;
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all(kNumbers, "unknown");
    for (std::size_t i = 0; i < kNumbers; ++i) {
      const std::unique_ptr<char, decltype(&std::free)> name(
          seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, static_cast<int>(i)), &std::free);
      if (name != nullptr) all[i] = name.get();
    }
    return all;
  }();
  return number >= 0 && static_cast<std::size_t>(number) < kNumbers ? names[static_cast<std::size_t>(number)]
                                                                    : std::string_view("unknown");
}

}  // namespace holdfast::sandbox
