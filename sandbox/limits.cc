#include "sandbox/limits.h"

#include <sys/resource.h>

#include <cerrno>
#include <charconv>
#include <fstream>
#include <string>

namespace holdfast::sandbox {
namespace {

constexpr std::string_view kLayer = "limits";

struct Limit {
  decltype(RLIMIT_DATA) resource;
  std::string_view name;
  std::uint64_t value;
};

constexpr Limit kFixedLimits[] = {
    {RLIMIT_FSIZE, "setrlimit(RLIMIT_FSIZE)", 0},
    {RLIMIT_NPROC, "setrlimit(RLIMIT_NPROC)", 0},
    {RLIMIT_CORE, "setrlimit(RLIMIT_CORE)", 0},
    {RLIMIT_MEMLOCK, "setrlimit(RLIMIT_MEMLOCK)", 0},
    {RLIMIT_MSGQUEUE, "setrlimit(RLIMIT_MSGQUEUE)", 0},
    // Ordinary signals from the kernel or a user still arrive: they need no queue.
    {RLIMIT_SIGPENDING, "setrlimit(RLIMIT_SIGPENDING)", 0},
};

SetupResult set(const Limit& limit) {
  rlimit both{limit.value, limit.value};
  if (setrlimit(limit.resource, &both) == 0) return {};
  // A hard limit that is already stricter may stay, except for the memory that modules were promised.
  rlimit now{};
  if (errno == EPERM && getrlimit(limit.resource, &now) == 0 && now.rlim_max < limit.value) {
    both = {now.rlim_max, now.rlim_max};
    if (setrlimit(limit.resource, &both) == 0 && limit.resource != RLIMIT_DATA && limit.resource != RLIMIT_AS)
      return {};
    errno = EPERM;
  }
  return setup_failure(kLayer, limit.name, errno,
                       errno == EPERM
                           ? "the limit that holdfast was started with is lower: raise it (ulimit -H, or the "
                             "service manager's Limit* settings), or configure less"
                           : std::string_view());
}

// A line of /proc/self/status: "VmData:     1234 kB".
tl::expected<std::uint64_t, SetupError> status_bytes(std::string_view field) {
  errno = 0;
  std::ifstream status("/proc/self/status");
  if (!status) return setup_failure(kLayer, "open /proc/self/status", errno, "/proc must be mounted");
  for (std::string line; std::getline(status, line);) {
    if (!line.starts_with(field)) continue;
    const std::size_t start = line.find_first_of("0123456789");
    std::uint64_t kibibytes = 0;
    if (start == std::string::npos) break;
    const auto [end, error] = std::from_chars(line.data() + start, line.data() + line.size(), kibibytes);
    if (error != std::errc() || std::string_view(end, line.data() + line.size()) != " kB") break;
    return kibibytes * 1024;
  }
  return setup_failure(kLayer, "read " + std::string(field) + " from /proc/self/status", EPROTO);
}

}  // namespace

SetupResult apply_limits(const ResourceLimits& limits) {
  Failures failures;
  const Limit chosen[] = {
      {RLIMIT_DATA, "setrlimit(RLIMIT_DATA)", limits.data_bytes},
      {RLIMIT_AS, "setrlimit(RLIMIT_AS)", limits.address_space_bytes},
      {RLIMIT_STACK, "setrlimit(RLIMIT_STACK)", limits.stack_bytes},
      {RLIMIT_CPU, "setrlimit(RLIMIT_CPU)", static_cast<std::uint64_t>(limits.cpu_time.count())},
      {RLIMIT_NOFILE, "setrlimit(RLIMIT_NOFILE)", limits.descriptors},
  };
  for (const Limit& limit : chosen) {
    if (limit.value != 0) failures.note(set(limit));
  }
  for (const Limit& limit : kFixedLimits) failures.note(set(limit));
  return std::move(failures).first();
}

tl::expected<std::uint64_t, SetupError> data_bytes_in_use() { return status_bytes("VmData:"); }
tl::expected<std::uint64_t, SetupError> address_space_bytes_in_use() { return status_bytes("VmSize:"); }

}  // namespace holdfast::sandbox
