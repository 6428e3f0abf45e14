#include "worker/process/launcher.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include "ipc/base/process_signals.h"
#include "ipc/packet.h"
#include "ipc/worker_messages.h"
#include "sandbox/namespaces.h"
#include "sandbox/privileges.h"
#include "sandbox/process_state.h"
#include "worker/process/zygote.h"

namespace holdfast::worker {
namespace {

// Returns only if that fails.
void start_again_inside(char** arguments) {
  if (!sandbox::keep_capabilities_over_exec()) return;
  std::vector<char*> extended;
  for (char** at = arguments; *at != nullptr; ++at) extended.push_back(*at);
  std::string inside = kInsideOption;
  extended.push_back(inside.data());
  extended.push_back(nullptr);
  ::execv("/proc/self/exe", extended.data());
}

[[noreturn]] void become_zygote(const ZygoteOptions& options, char** arguments) {
  start_again_inside(arguments);
  run_zygote(options);
}

// Waits for the child's end, and does nothing else. If the launcher is told to end, by the supervisor or by the
// kernel because the supervisor is gone, it kills the child first, because no other process could reap it.
int wait_for(pid_t child, const sigset_t& signals, rusage& usage) {
  for (;;) {
    int status = 0;
    if (::wait4(child, &status, WNOHANG, &usage) == child) return status;
    if (::sigwaitinfo(&signals, nullptr) == ipc::kLauncherEndSignal) ::kill(child, SIGKILL);
  }
}

}  // namespace

int run_launcher(const ZygoteOptions& options, char** arguments) {
  // Leave the supervisor's session: only the supervisor acts on signals that a terminal sends to its foreground.
  require(options, sandbox::new_session());
  for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);  // if it were ignored, there would be no exit status to wait for
  require(options, sandbox::enter_namespaces());
  require(options, sandbox::die_with_parent(ipc::kLauncherEndSignal));
  // Block them from here on, so that none arrives before wait_for() waits for it.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, ipc::kLauncherEndSignal);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  const pid_t child = ::fork();
  if (child < 0) give_up(options, std::string("fork: ") + std::strerror(errno));
  if (child == 0) become_zygote(options, arguments);

  // The control socket stays open only where there is no zygote to send the last message, WorkerExited, on it.
  if (!options.single_worker || !sandbox::close_all_descriptors_except(options.control_fd)) ::close_range(0, ~0U, 0);
  rusage usage = {};
  const int status = wait_for(child, signals, usage);
  if (options.single_worker) {
    ipc::OutputBuffer out;
    encode(out, ipc::ZygoteReply(ipc::WorkerExited{*options.single_worker, status, cpu_time(usage)}));
    (void)ipc::send_packet(BorrowedFd(sandbox::kKeptDescriptor), out.data(), {});
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace holdfast::worker
