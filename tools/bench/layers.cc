// What each layer of the sandbox adds to the cost of a worker. Measures forks with one more layer each, alternately,
// so that a disturbance of the machine affects all alike. Prints the median and the minimum of each, in microseconds,
// and the cost of the layers that are set up once for each zygote.
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "sandbox/hardening.h"
#include "sandbox/limits.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "sandbox/seccomp_policy.h"

namespace {

using namespace holdfast::sandbox;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 2000;

void expect(bool good, const char* what) {
  if (good) return;
  fmt::print(stderr, "bench_layers: {} failed\n", what);
  ::_exit(1);
}

double micros(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

struct Layer {
  const char* name;
  std::function<SetupResult()> apply;
};

// Time from before the fork until the child reports on a shared page that it is locked.
Clock::duration time_fork(const std::vector<Layer>& layers, std::size_t count, volatile bool* locked) {
  *locked = false;
  const auto begin = Clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    for (std::size_t i = 0; i < count; ++i) expect(layers[i].apply().has_value(), layers[i].name);
    *locked = true;
    ::syscall(SYS_exit_group, 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  const auto time = Clock::now() - begin;
  expect(*locked, "locking a child");
  return time;
}

void measure_workers() {
  int ends[2];
  expect(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
  const auto filter = compile(policy(Profile::jit));
  expect(filter.has_value(), "compile");
  const ResourceLimits limits{.data_bytes = 1ULL << 32, .stack_bytes = 8 << 20, .cpu_time = std::chrono::hours(1)};
  const std::vector<Layer> layers = {
      {"descriptors", [&] { return close_all_descriptors_except(ends[1]); }},
      {"signals", [] { return reset_signals(); }},
      {"parent-death signal", [] { return die_with_parent(SIGKILL); }},
      {"limits", [&] { return apply_limits(limits); }},
      {"seccomp", [&] { return load(*filter); }},
  };
  auto* locked =
      static_cast<volatile bool*>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  std::vector<std::vector<double>> samples(layers.size() + 1);
  for (int round = 0; round < kRounds; ++round) {
    for (std::size_t count = 0; count <= layers.size(); ++count) {
      samples[count].push_back(micros(time_fork(layers, count, locked)));
    }
  }
  fmt::print("for each worker                 median us   least us   added us (least)\n");
  double before = 0;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::ranges::sort(samples[i]);
    const double least = samples[i].front();
    const std::string name = i == 0 ? "fork and exit" : fmt::format("+ {}", layers[i - 1].name);
    const std::string added = i == 0 ? "" : fmt::format("{:.1f}", least - before);
    fmt::print("{:<30} {:>10.1f} {:>10.1f} {:>10}\n", name, samples[i][samples[i].size() / 2], least, added);
    before = least;
  }
  fmt::print("all layers together add {:.1f} us (least), {:.1f} us (median)\n\n",
             samples.back().front() - samples.front().front(),
             samples.back()[kRounds / 2] - samples.front()[kRounds / 2]);
}

// Runs in a child, because it changes the process permanently.
void measure_zygote() {
  fmt::print("once for each zygote                       us\n");
  std::fflush(stdout);
  const pid_t launcher = ::fork();
  if (launcher == 0) {
    const auto timed = [](const char* name, auto apply) {
      const auto begin = Clock::now();
      expect(static_cast<bool>(apply()), name);
      fmt::print("{:<30} {:>14.1f}\n", name, micros(Clock::now() - begin));
      std::fflush(stdout);
    };
    timed("namespaces", [] { return enter_namespaces(); });
    if (::fork() == 0) {
      timed("code (mseal)", [] { return seal_code(); });
      timed("speculation", [] { return restrict_speculation(); });
      timed("root", [] { return seal_root(); });
      timed("privileges", [] { return drop_privileges(); });
      timed("seccomp, compiled", [] { return compile(policy(Profile::jit)); });
      ::_exit(0);
    }
    ::wait(nullptr);
    ::_exit(0);
  }
  ::waitpid(launcher, nullptr, 0);
}

}  // namespace

int main() {
  // Once, as in the zygote: the filter cannot be loaded without no_new_privs.
  expect(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
  measure_workers();
  measure_zygote();
}
