#include "supervisor/broker/broker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/base/pidfd.h"
#include "ipc/base/process_signals.h"
#include "ipc/base/text.h"
#include "ipc/packet.h"
#include "ipc/worker_messages.h"
#include "supervisor/log/log_output.h"

namespace holdfast::supervisor {
namespace {

using Clock = std::chrono::steady_clock;

// The control socket's number in the zygote.
constexpr int kControlFd = 3;

// How long a launcher may take to end when it is told to. It needs a millisecond.
constexpr std::chrono::milliseconds kEndPatience{1000};

// The number behind the word `key` in a file of /proc; 0 if there is none.
pid_t number_in(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    pid_t number;
    if (word == key && file >> number) return std::max(number, 0);
  }
  return 0;
}

// Before a program has its control socket, it says at most a line or two, which come from the dynamic linker.
constexpr std::size_t kMaxSaidBytes = 2048;

// How long a program may take to end after its standard error has closed.
constexpr int kEndAfterErrorsMillis = 200;

// A shell, or a zygote's launcher, reports a signal as exit status 128 plus the signal's number.
std::string describe_end(int status) {
  const int signal = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) - 128;
  const char* const name = signal > 0 ? ::sigabbrev_np(signal) : nullptr;
  if (name != nullptr) return fmt::format("was killed by SIG{}", name);
  return fmt::format("ended with exit status {}", WEXITSTATUS(status));
}

// Starts `program` without an environment, with `control` as its descriptor kControlFd and `errors` as its standard
// error. Fails with an errno value.
tl::expected<pid_t, int> spawn(const std::filesystem::path& program, const std::vector<std::string>& arguments,
                               int control, int errors) {
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  char* const environment[] = {nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, control, kControlFd);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kControlFd + 1);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, argv.data(), environment);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return tl::unexpected(error);
  return pid;
}

std::string one_line(std::string_view said) {
  while (!said.empty() && said.back() == '\n') said.remove_suffix(1);
  return ipc::shown(said, kMaxSaidBytes);
}

tl::expected<UniqueFd, int> open_of_process(pid_t pid, const char* name) {
  UniqueFd opened(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened) return tl::unexpected(errno);
  return opened;
}

// How many memory mappings the process has, counted up to `most`.
tl::expected<std::uint32_t, int> count_mappings(pid_t pid, std::uint32_t most) {
  const auto maps = open_of_process(pid, "maps");
  if (!maps) return tl::unexpected(maps.error());
  std::array<char, 16 << 10> buffer;
  std::uint32_t lines = 0;
  while (lines < most) {
    const ssize_t count = ::read(maps->get(), buffer.data(), buffer.size());
    if (count < 0) return tl::unexpected(errno);
    if (count == 0) return lines;
    lines += static_cast<std::uint32_t>(std::count(buffer.begin(), buffer.begin() + count, '\n'));
  }
  return most;
}

// Whether smaps_rollup can be read soon; the kernel goes through all mappings for it. A worker has some hundreds.
// Native code can make as many as the kernel allows (vm.max_map_count), which takes tens of milliseconds to read.
bool has_few_mappings(pid_t pid) {
  constexpr std::uint32_t kFew = 2500;
  return count_mappings(pid, kFew).value_or(kFew) < kFew;
}

class BrokerProcess {
 public:
  BrokerProcess(const Broker::Duties& duties, int socket);
  [[noreturn]] void run();

 private:
  struct Launcher {
    pid_t pid;
    UniqueFd liveness_pipe;
    UniqueFd errors;                           // its program's standard error; none once no process has it open
    std::string said;                          // on its standard error
    std::optional<Clock::time_point> kill_at;  // set when it was told to end
  };

  bool serve_request();
  void start_zygote(const BrokerRequest& request, std::vector<UniqueFd> fds);
  std::string spawn_advice(int error) const;
  std::vector<UniqueFd> watch_modules(BrokerAnswer& answer) const;
  std::vector<UniqueFd> answer_to(const BrokerRequest& request, const std::vector<UniqueFd>& fds,
                                  BrokerAnswer& answer) const;
  UniqueFd open_module(const BrokerRequest& request, BrokerAnswer& answer) const;
  bool is_ours(pid_t pid) const;
  void tell_to_end(Launcher& launcher);
  void hear(Launcher& launcher) const;
  void tell_of_end(const Launcher& launcher, int status) const;
  void reap();
  int next_timeout() const;

  const Broker::Duties& duties_;
  const UniqueFd socket_;
  UniqueFd child_signals_;
  std::list<Launcher> launchers_;
  bool leaving_ = false;
};

BrokerProcess::BrokerProcess(const Broker::Duties& duties, int socket) : duties_(duties), socket_(socket) {
  ::prctl(PR_SET_NAME, "holdfast-broker");
  ::prctl(PR_SET_DUMPABLE, 0);
  abandon_log();
  // What a terminal sends to its foreground processes, or a service manager to all, only the supervisor acts on.
  ::setsid();
  for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  child_signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!child_signals_) ::_exit(1);  // the supervisor notices
  // Standard error stays open: what a worker's program says without ending is passed on there.
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(nowhere.get(), fd);
  std::vector<int> kept = duties_.kept;
  kept.insert(kept.end(), {STDERR_FILENO, socket_.get(), child_signals_.get()});
  std::sort(kept.begin(), kept.end());
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto first = static_cast<unsigned>(kept[i] + 1);
    const unsigned last = i + 1 < kept.size() ? static_cast<unsigned>(kept[i + 1]) - 1 : ~0U;
    if (kept[i] >= STDERR_FILENO && first <= last) ::close_range(first, last, 0);
  }
}

void BrokerProcess::run() {
  while (!leaving_ || !launchers_.empty()) {
    std::vector<pollfd> wanted = {{leaving_ ? -1 : socket_.get(), POLLIN, 0}, {child_signals_.get(), POLLIN, 0}};
    for (const Launcher& launcher : launchers_) {
      wanted.push_back({launcher.kill_at ? -1 : launcher.liveness_pipe.get(), POLLIN, 0});
      wanted.push_back({launcher.errors.get(), POLLIN, 0});
    }
    if (::poll(wanted.data(), wanted.size(), next_timeout()) < 0 && errno != EINTR) ::_exit(1);
    auto at = wanted.begin() + 2;
    for (Launcher& launcher : launchers_) {
      if ((at++)->revents != 0) tell_to_end(launcher);  // the supervisor never sends on the liveness pipe
      if ((at++)->revents != 0) hear(launcher);
    }
    const auto now = Clock::now();
    for (Launcher& launcher : launchers_) {
      if (launcher.kill_at && *launcher.kill_at <= now) ::kill(launcher.pid, SIGKILL);
    }
    if (wanted[0].revents != 0 && !serve_request()) {
      leaving_ = true;
      for (Launcher& launcher : launchers_) tell_to_end(launcher);
    }
    reap();
  }
  ::_exit(0);
}

int BrokerProcess::next_timeout() const {
  int timeout = -1;
  for (const Launcher& launcher : launchers_) {
    if (!launcher.kill_at) continue;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*launcher.kill_at - Clock::now()).count();
    const int millis = static_cast<int>(std::max<std::int64_t>(left, 10));
    timeout = timeout < 0 ? millis : std::min(timeout, millis);
  }
  return timeout;
}

// False: the supervisor is gone, or breaks the protocol, which only a compromised supervisor does.
bool BrokerProcess::serve_request() {
  BrokerRequest request;
  auto packet = ipc::receive_packet(socket_, std::as_writable_bytes(std::span(&request, 1)));
  if (!packet || packet->bytes != sizeof request) return false;
  if (request.kind == BrokerRequest::Kind::start_zygote) {
    start_zygote(request, std::move(packet->fds));
    return true;
  }
  BrokerAnswer answer{.serial = request.serial};
  const std::vector<UniqueFd> files = answer_to(request, packet->fds, answer);
  const std::vector<BorrowedFd> fds(files.begin(), files.end());
  return ipc::send_packet(socket_, std::as_bytes(std::span(&answer, 1)), fds).has_value();
}

std::vector<UniqueFd> BrokerProcess::watch_modules(BrokerAnswer& answer) const {
  auto watched = duties_.watch_modules ? duties_.watch_modules() : tl::unexpected(EINVAL);
  if (!watched) {
    answer.error = watched.error();
    return {};
  }
  const std::string text = to_text(*watched);
  UniqueFd file(::memfd_create("places", MFD_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
      ::lseek(file.get(), 0, SEEK_SET) != 0) {
    answer.error = errno;
    return {};
  }
  std::vector<UniqueFd> files;
  files.push_back(std::move(watched->inotify));
  files.push_back(std::move(file));
  return files;
}

std::vector<UniqueFd> BrokerProcess::answer_to(const BrokerRequest& request, const std::vector<UniqueFd>& fds,
                                               BrokerAnswer& answer) const {
  using Kind = BrokerRequest::Kind;
  std::vector<UniqueFd> files;
  const auto give = [&](tl::expected<UniqueFd, int> opened) {
    if (opened) {
      files.push_back(std::move(*opened));
    } else {
      answer.error = opened.error();
    }
  };
  switch (request.kind) {
    case Kind::remove_socket:
      duties_.remove_socket();
      return files;
    case Kind::look_at:
    case Kind::open_memory:
    case Kind::count_mappings: {
      // The server may have sent a descriptor of anything.
      const pid_t pid = fds.size() == 1 ? pid_of(fds.front(), PidSource::fdinfo) : 0;
      if (!is_ours(pid)) break;
      answer.pid = pid;
      if (request.kind == Kind::look_at) {
        for (const char* name : {"statm", "status"}) give(open_of_process(pid, name));
      } else if (request.kind == Kind::count_mappings) {
        const auto count = count_mappings(pid, Broker::kMostMappingsCounted);
        answer.error = count ? 0 : count.error();
        answer.mappings = count.value_or(0);
      } else if (has_few_mappings(pid)) {
        give(open_of_process(pid, "smaps_rollup"));
      } else {
        answer.error = EFBIG;
      }
      if (answer.error != 0) files.clear();
      return files;
    }
    case Kind::open_module: {
      UniqueFd opened = open_module(request, answer);
      if (opened) files.push_back(std::move(opened));
      return files;
    }
    case Kind::open_settings:
      if (!duties_.open_settings) break;
      give(duties_.open_settings());
      return files;
    case Kind::watch_modules:
      return watch_modules(answer);
    case Kind::start_zygote:
      break;
  }
  answer.error = EINVAL;
  return files;
}

UniqueFd BrokerProcess::open_module(const BrokerRequest& request, BrokerAnswer& answer) const {
  const auto part = [](const char(&text)[BrokerRequest::kMaxNameBytes]) {
    return std::string(text, ::strnlen(text, sizeof text));
  };
  const ipc::ModuleName name{part(request.module), part(request.version)};
  if (ipc::name_problem(name.module, "module") || ipc::name_problem(name.version, "version")) {
    answer.error = ENOENT;
    return UniqueFd();
  }
  auto opened = duties_.open_module(name);
  if (opened) {
    answer.endings = opened->endings;
    return std::move(opened->file);
  }
  answer.error = opened.error();
  return UniqueFd();
}

// Whether the process descends from a launcher.
bool BrokerProcess::is_ours(pid_t pid) const {
  while (pid > 1) {
    const auto is_it = [pid](const Launcher& launcher) { return launcher.pid == pid; };
    if (std::any_of(launchers_.begin(), launchers_.end(), is_it)) return true;
    pid = number_in(fmt::format("/proc/{}/status", pid), "PPid:");
  }
  return false;
}

void BrokerProcess::start_zygote(const BrokerRequest& request, std::vector<UniqueFd> fds) {
  if (fds.size() != 2) return;
  // Above the number that it gets in the child: a descriptor that has this number already would stay close-on-exec.
  const UniqueFd control(::fcntl(fds[0].get(), F_DUPFD_CLOEXEC, kControlFd + 1));
  const auto fail = [&](const std::string& reason) {
    ipc::OutputBuffer out;
    encode(out,
           ipc::ZygoteReply(ipc::ZygoteFailed{fmt::format("cannot start {}: {}", duties_.program.string(), reason)}));
    // The process at the other end may never read.
    ::fcntl(control.get(), F_SETFL, O_NONBLOCK);
    (void)ipc::send_packet(control, out.data(), {});
  };
  if (launchers_.size() >= duties_.max_programs) {
    return fail(fmt::format("{} programs are running, which is the limit", launchers_.size()));
  }
  std::vector<std::string> arguments = duties_.arguments;
  arguments.push_back(fmt::format("--control-fd={}", kControlFd));
  if (request.single) arguments.push_back(fmt::format("--single-worker={}", request.single_worker));
  int errors[2];
  if (::pipe2(errors, O_CLOEXEC) != 0) return fail(std::strerror(errno));
  UniqueFd heard(errors[0]);
  const UniqueFd said(errors[1]);
  ::fcntl(heard.get(), F_SETFL, O_NONBLOCK);
  const auto started = spawn(duties_.program, arguments, control.get(), said.get());
  if (!started) return fail(fmt::format("{}; {}", std::strerror(started.error()), spawn_advice(started.error())));
  launchers_.push_back({*started, std::move(fds[1]), std::move(heard), {}, std::nullopt});
}

std::string BrokerProcess::spawn_advice(int error) const {
  if (error == EACCES) {
    return fmt::format("let uid {} execute the program and enter each directory above it", ::geteuid());
  }
  if (error == ENOENT && ::access(duties_.program.c_str(), F_OK) == 0) {
    return "the interpreter or dynamic linker that the program names is missing";
  }
  return "--worker must name the holdfast-worker program";
}

// The launcher and the zygote close their standard error just before they lock themselves down. What was said until
// then without ending the program goes to the supervisor's standard error.
void BrokerProcess::hear(Launcher& launcher) const {
  char bytes[512];
  ssize_t count;
  while ((count = ::read(launcher.errors.get(), bytes, sizeof bytes)) > 0) {
    launcher.said.append(bytes, std::min(static_cast<std::size_t>(count), kMaxSaidBytes - launcher.said.size()));
  }
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  launcher.errors.reset();
  if (launcher.said.empty()) return;
  const UniqueFd process = open_pidfd(launcher.pid);
  pollfd ended = {process.get(), POLLIN, 0};
  if (process && ::poll(&ended, 1, kEndAfterErrorsMillis) == 0) {
    (void)!::write(STDERR_FILENO, launcher.said.data(), launcher.said.size());
    launcher.said.clear();
  }
}

// Tells on the liveness pipe, to a supervisor that still wants to know, how the program ended; see
// Broker::start_zygote() for the form.
void BrokerProcess::tell_of_end(const Launcher& launcher, int status) const {
  const std::string program = ipc::printable(duties_.program.string(), ipc::Newlines::escape);
  std::string text = fmt::format("{} {}", program, describe_end(status));
  const std::string said = one_line(launcher.said);
  if (!said.empty()) text += ": " + said;
  text.push_back('\0');
  text += said.find("shared librar") != std::string::npos
              ? fmt::format("install the missing library (ldd {} lists all), or build Holdfast again", program)
              : fmt::format(
                    "--worker must name the holdfast-worker of the same build as holdfastd {}; `{} --version` "
                    "shows what that program is",
                    HOLDFAST_VERSION, program);
  (void)!::send(launcher.liveness_pipe.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

// The launcher kills the zygote, reaps it, and ends. SIGCONT is for a launcher that some process has stopped.
void BrokerProcess::tell_to_end(Launcher& launcher) {
  if (launcher.kill_at) return;
  launcher.kill_at = Clock::now() + kEndPatience;
  ::kill(launcher.pid, ipc::kLauncherEndSignal);
  ::kill(launcher.pid, SIGCONT);
}

void BrokerProcess::reap() {
  signalfd_siginfo drained;
  while (::read(child_signals_.get(), &drained, sizeof drained) > 0) {
  }
  std::erase_if(launchers_, [this](Launcher& launcher) {
    int status = 0;
    if (::waitpid(launcher.pid, &status, WNOHANG) == 0) return false;
    if (launcher.errors) hear(launcher);
    tell_of_end(launcher, status);
    return true;
  });
}

}  // namespace

void run_broker(const Broker::Duties& duties, int socket) { BrokerProcess(duties, socket).run(); }

}  // namespace holdfast::supervisor
