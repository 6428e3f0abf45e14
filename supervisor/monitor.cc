#include "supervisor/monitor.h"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <fstream>
#include <sstream>
#include <string>

#include "ipc/base/process_signals.h"
#include "sandbox/seccomp_policy.h"
#include "supervisor/log/log_output.h"
#include "supervisor/net/turn_watch.h"

namespace holdfast::supervisor {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How often to ask a server that gives no sign of life by itself.
constexpr milliseconds kAskInterval{2000};
// Servers that get stuck again and again are not replaced for ever.
constexpr std::size_t kMostReplacements = 5;
constexpr std::chrono::minutes kReplacementPeriod{1};

constexpr int kSignals[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD};

std::string first_line_of(pid_t pid, const char* name) {
  std::ifstream file(fmt::format("/proc/{}/{}", pid, name));
  std::string line;
  std::getline(file, line);
  return line;
}

// Reads the fields behind the process's name, which may hold any character (proc_pid_stat(5)).
TurnWatch::Look look_at(pid_t pid) {
  const std::string line = first_line_of(pid, "stat");
  const std::size_t end = line.rfind(')');
  if (end == std::string::npos) return {};
  std::istringstream fields(line.substr(end + 1));
  TurnWatch::Look look;
  fields >> look.state;
  std::string skipped;
  for (int field = 4; field < 14; ++field) fields >> skipped;
  std::int64_t user = 0, system = 0;
  fields >> user >> system;
  look.cpu_time = std::chrono::seconds(user + system) / ::sysconf(_SC_CLK_TCK);
  return look;
}

// Where the process is stuck, as far as this process may see it.
std::string whereabouts(pid_t pid) {
  const char state = look_at(pid).state;
  std::string text = state == 'R' ? "it runs without a break" : fmt::format("it is asleep (state {})", state);
  int number = -1;
  if (std::istringstream(first_line_of(pid, "syscall")) >> number && number >= 0) {
    text += fmt::format(" in the system call {}", sandbox::syscall_name(number));
  }
  const std::string function = first_line_of(pid, "wchan");
  if (function.size() > 1) text += fmt::format(", in the kernel's {}", function);
  std::ifstream stack(fmt::format("/proc/{}/stack", pid));
  constexpr int kMostLines = 8;
  std::string line;
  for (int i = 0; i < kMostLines && std::getline(stack, line); ++i) {
    const std::size_t begin = line.find("] ");
    text += (i == 0 ? "; stack: " : " < ") + line.substr(begin == std::string::npos ? 0 : begin + 2);
  }
  return text;
}

class Monitor {
 public:
  explicit Monitor(std::optional<int> ready_fd) : ready_fd_(ready_fd) {}

  std::variant<int, Served> run();

 private:
  std::optional<Served> start();
  void pass_on(int signal);
  void say(MonitorByte byte) { (void)!::send(socket_.get(), &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT); }
  void hear();
  void watch();
  std::optional<int> reap();
  int give_up(int status);

  std::optional<int> ready_fd_;
  sigset_t signals_{}, signals_before_{};
  UniqueFd signal_fd_;
  UniqueFd socket_;  // to the server
  pid_t server_ = -1;
  bool is_serving_ = false;
  bool is_stuck_ = false;  // it was killed, and will be replaced
  bool is_ending_ = false;
  TurnWatch watch_;
  Clock::time_point ask_at_{};
  std::deque<Clock::time_point> replacements_;
};

std::variant<int, Served> Monitor::run() {
  sigemptyset(&signals_);
  for (int signal : kSignals) sigaddset(&signals_, signal);
  ::sigprocmask(SIG_BLOCK, &signals_, &signals_before_);
  signal_fd_.reset(::signalfd(-1, &signals_, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signal_fd_) {
    spdlog::critical("cannot watch for signals: signalfd: {}", std::strerror(errno));
    return 1;
  }
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // to reap a broker whose server was killed
  if (auto served = start()) return std::move(*served);
  for (;;) {
    if (server_ < 0) return 1;
    std::array<pollfd, 2> wanted = {{{signal_fd_.get(), POLLIN, 0}, {socket_.get(), POLLIN, 0}}};
    const milliseconds patience = watch_.owes_answer() ? milliseconds(TurnWatch::kLookInterval) : kAskInterval;
    ::poll(wanted.data(), wanted.size(), static_cast<int>(patience.count()));
    signalfd_siginfo signal;
    while (::read(signal_fd_.get(), &signal, sizeof signal) == sizeof signal)
      pass_on(static_cast<int>(signal.ssi_signo));
    if (wanted[1].revents != 0) hear();
    watch();
    flush_log();
    const auto status = reap();
    if (!status) continue;
    if (is_stuck_ && is_ending_) return 1;
    if (!is_stuck_) return give_up(*status);
    const auto now = Clock::now();
    std::erase_if(replacements_, [&](const auto& at) { return at + kReplacementPeriod < now; });
    if (replacements_.size() == kMostReplacements) {
      spdlog::critical("{} servers were stuck within a minute; giving up", kMostReplacements + 1);
      return 1;
    }
    replacements_.push_back(now);
    spdlog::warn("starting another server in place of the one that was stuck; its calls are lost");
    if (auto served = start()) return std::move(*served);
  }
}

// Something: this process is the server.
std::optional<Served> Monitor::start() {
  const bool is_first = replacements_.empty();
  server_ = -1;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    spdlog::critical("cannot start the server: socketpair: {}", std::strerror(errno));
    return std::nullopt;
  }
  UniqueFd ours(ends[0]), theirs(ends[1]);
  server_ = ::fork();
  if (server_ < 0) spdlog::critical("cannot start the server: fork: {}", std::strerror(errno));
  if (server_ == 0) {
    ours.reset();
    socket_.reset();
    signal_fd_.reset();
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);
    ::setsid();  // a terminal's signals are for the monitor
    for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
    ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
    return Served{std::move(theirs), is_first};
  }
  if (is_first && ready_fd_) ::close(*ready_fd_);
  socket_ = std::move(ours);
  is_serving_ = is_stuck_ = false;
  watch_.answered();
  return std::nullopt;
}

void Monitor::pass_on(int signal) {
  if (signal == SIGCHLD) return;
  if (signal == SIGHUP) return say(MonitorByte::reload);
  if (signal == SIGUSR1 || signal == SIGUSR2) {
    return spdlog::info("SIG{} ignored: reserved for later use", ::sigabbrev_np(signal));
  }
  is_ending_ = true;
  say(signal == SIGQUIT ? MonitorByte::quit : MonitorByte::end);
}

void Monitor::hear() {
  std::array<char, 64> bytes;
  const ssize_t count = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (count < 0) return;
  if (count == 0) {  // it is about to end
    is_serving_ = false;
    socket_.reset();
    return watch_.answered();
  }
  is_serving_ = true;
  watch_.answered();
  ask_at_ = Clock::now() + kAskInterval;
}

void Monitor::watch() {
  if (!is_serving_ || is_stuck_) return;
  const auto now = Clock::now();
  if (!watch_.owes_answer()) {
    if (now < ask_at_) return;
    say(MonitorByte::ask);
    return watch_.asked(now, look_at(server_));
  }
  if (!watch_.is_stuck(now, look_at(server_))) return;
  spdlog::error("the server's event loop was stuck for {} s: {}; killing and replacing the server",
                std::chrono::seconds(TurnWatch::kPatience).count(), whereabouts(server_));
  is_stuck_ = true;
  ::kill(server_, SIGKILL);
}

// The server's status, as waitpid(2) gives it, if the server has ended.
std::optional<int> Monitor::reap() {
  std::optional<int> ended;
  int status = 0;
  for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == server_) ended = status;
  }
  return ended;
}

int Monitor::give_up(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  const int signal = WTERMSIG(status);
  spdlog::critical("the server was ended by signal {} ({})", signal, ::strsignal(signal));
  finish_log();
  ::prctl(PR_SET_DUMPABLE, 0);  // the monitor's core would tell nothing
  ::signal(signal, SIG_DFL);
  ::sigprocmask(SIG_SETMASK, &signals_before_, nullptr);
  ::raise(signal);
  return 128 + signal;
}

}  // namespace

std::variant<int, Served> serve_under_monitor(std::optional<int> ready_fd) { return Monitor(ready_fd).run(); }

}  // namespace holdfast::supervisor
