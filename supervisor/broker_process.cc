#include "supervisor/broker_process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/handles.hpp>
#include <boost/process/io.hpp>
#include <boost/process/posix.hpp>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <list>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/packet.h"
#include "ipc/process_signals.h"
#include "ipc/worker_messages.h"

namespace holdfast::supervisor {
namespace {

namespace process = boost::process;
using Clock = std::chrono::steady_clock;

// The control socket's number in the zygote.
constexpr int kControlFd = 3;

// What a launcher has to end when it is told to; a millisecond is what it takes.
constexpr std::chrono::milliseconds kEndPatience{1000};

// The number behind `key` in such a file of /proc; 0 if there is none.
pid_t number_in(const std::string& path, std::string_view key) {
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    pid_t number;
    if (word == key && file >> number) return std::max(number, 0);
  }
  return 0;
}

// Of the process behind a pidfd (pidfd_open(2), "fdinfo"); 0 if it is gone or not visible from here.
pid_t pid_of(const UniqueFd& pidfd) { return number_in(fmt::format("/proc/self/fdinfo/{}", pidfd.get()), "Pid:"); }

tl::expected<UniqueFd, int> open_of_process(pid_t pid, const char* name) {
  UniqueFd opened(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!opened) return tl::unexpected(errno);
  return opened;
}

// Whether to go through all mappings of a process is soon done: a worker has some hundreds. Native code can make as
// many as the kernel allows (vm.max_map_count), which takes it tens of milliseconds to go through.
bool has_few_mappings(pid_t pid) {
  constexpr std::size_t kMostBytes = 256 << 10;  // of some hundred bytes for each
  const auto maps = open_of_process(pid, "maps");
  if (!maps) return false;
  std::array<char, 16 << 10> buffer;
  for (std::size_t bytes = 0; bytes < kMostBytes;) {
    const ssize_t count = ::read(maps->get(), buffer.data(), buffer.size());
    if (count < 0) return false;
    if (count == 0) return true;
    bytes += static_cast<std::size_t>(count);
  }
  return false;
}

class BrokerProcess {
 public:
  BrokerProcess(const Broker::Duties& duties, int socket);
  [[noreturn]] void run();

 private:
  struct Launcher {
    process::child child;
    UniqueFd leash;
    std::optional<Clock::time_point> kill_at;  // it was told to end
  };

  bool serve_request();
  void start_zygote(const BrokerRequest& request, std::vector<UniqueFd> fds);
  std::vector<UniqueFd> watch_modules(BrokerAnswer& answer) const;
  std::vector<UniqueFd> answer_to(const BrokerRequest& request, const std::vector<UniqueFd>& fds,
                                  BrokerAnswer& answer) const;
  UniqueFd open_module(const BrokerRequest& request, BrokerAnswer& answer) const;
  bool is_ours(pid_t pid) const;
  void tell_to_end(Launcher& launcher);
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
  // What a terminal sends to its foreground, or a service manager to all processes, is for the supervisor to act on.
  ::setsid();
  for (int signal : ipc::kSupervisorsSignals) ::signal(signal, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  child_signals_.reset(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!child_signals_) ::_exit(1);  // the supervisor notices
  // Standard error stays for what a worker's program says before it has its control socket.
  const UniqueFd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (int fd : {STDIN_FILENO, STDOUT_FILENO}) ::dup2(nowhere.get(), fd);
  const int kept[] = {std::min(socket, child_signals_.get()), std::max(socket, child_signals_.get())};
  ::close_range(STDERR_FILENO + 1, static_cast<unsigned>(kept[0] - 1), 0);
  if (kept[0] + 1 < kept[1]) ::close_range(static_cast<unsigned>(kept[0] + 1), static_cast<unsigned>(kept[1] - 1), 0);
  ::close_range(static_cast<unsigned>(kept[1] + 1), ~0U, 0);
}

void BrokerProcess::run() {
  while (!leaving_ || !launchers_.empty()) {
    std::vector<pollfd> wanted = {{leaving_ ? -1 : socket_.get(), POLLIN, 0}, {child_signals_.get(), POLLIN, 0}};
    for (const Launcher& launcher : launchers_) {
      wanted.push_back({launcher.kill_at ? -1 : launcher.leash.get(), POLLIN, 0});
    }
    if (::poll(wanted.data(), wanted.size(), next_timeout()) < 0 && errno != EINTR) ::_exit(1);
    auto at = wanted.begin() + 2;
    for (Launcher& launcher : launchers_) {
      if ((at++)->revents != 0) tell_to_end(launcher);  // nothing is ever sent on a leash
    }
    const auto now = Clock::now();
    for (Launcher& launcher : launchers_) {
      if (launcher.kill_at && *launcher.kill_at <= now) ::kill(launcher.child.id(), SIGKILL);
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

// False: the supervisor is gone, or breaks the protocol, which it does not do as long as it is itself.
bool BrokerProcess::serve_request() {
  BrokerRequest request;
  auto packet = ipc::receive_packet(socket_.get(), std::as_writable_bytes(std::span(&request, 1)));
  if (!packet || packet->bytes != sizeof request) return false;
  if (request.kind == BrokerRequest::Kind::start_zygote) {
    start_zygote(request, std::move(packet->fds));
    return true;
  }
  BrokerAnswer answer{.serial = request.serial};
  const std::vector<UniqueFd> files = answer_to(request, packet->fds, answer);
  std::vector<int> fds;
  for (const UniqueFd& file : files) fds.push_back(file.get());
  return ipc::send_packet(socket_.get(), std::as_bytes(std::span(&answer, 1)), fds).has_value();
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
    case Kind::open_memory: {
      const pid_t pid = fds.size() == 1 ? pid_of(fds.front()) : 0;
      if (!is_ours(pid)) break;
      answer.pid = pid;
      if (request.kind == Kind::look_at) {
        for (const char* name : {"statm", "status"}) give(open_of_process(pid, name));
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
    const auto is_it = [pid](const Launcher& launcher) { return launcher.child.id() == pid; };
    if (std::any_of(launchers_.begin(), launchers_.end(), is_it)) return true;
    pid = number_in(fmt::format("/proc/{}/status", pid), "PPid:");
  }
  return false;
}

void BrokerProcess::start_zygote(const BrokerRequest& request, std::vector<UniqueFd> fds) {
  if (fds.size() != 2) return;
  // Past the number that it is to have in the child: bound to its own number, it would stay close-on-exec.
  const UniqueFd control(::fcntl(fds[0].get(), F_DUPFD_CLOEXEC, kControlFd + 1));
  const auto fail = [&](const std::string& reason) {
    ipc::OutputBuffer out;
    encode(out,
           ipc::ZygoteReply(ipc::ZygoteFailed{fmt::format("cannot start {}: {}", duties_.program.string(), reason)}));
    (void)ipc::send_packet(control.get(), out.data(), {});
  };
  // Whoever holds the other end may never read.
  ::fcntl(control.get(), F_SETFL, O_NONBLOCK);
  if (launchers_.size() >= duties_.max_programs) {
    return fail(fmt::format("{} programs were started and have not ended", launchers_.size()));
  }
  if (::access(duties_.program.c_str(), X_OK) != 0) return fail(std::strerror(errno));  // Boost.Process does not tell
  std::vector<std::string> arguments = duties_.arguments;
  arguments.push_back(fmt::format("--control-fd={}", kControlFd));
  if (request.single) arguments.push_back(fmt::format("--single-worker={}", request.single_worker));
  ::fcntl(control.get(), F_SETFL, 0);
  std::error_code error;
  process::child child(process::exe = duties_.program.string(), process::args = arguments,
                       process::env = process::environment(),
                       process::std_in<process::null, process::std_out> process::null, process::limit_handles,
                       process::posix::fd.bind(kControlFd, control.get()), error);
  if (error) return fail(error.message());
  launchers_.push_back({std::move(child), std::move(fds[1]), std::nullopt});
}

// The launcher kills the zygote, reaps it, and ends; unless somebody has stopped it.
void BrokerProcess::tell_to_end(Launcher& launcher) {
  if (launcher.kill_at) return;
  launcher.kill_at = Clock::now() + kEndPatience;
  ::kill(launcher.child.id(), ipc::kLauncherEndSignal);
  ::kill(launcher.child.id(), SIGCONT);
}

void BrokerProcess::reap() {
  signalfd_siginfo drained;
  while (::read(child_signals_.get(), &drained, sizeof drained) > 0) {
  }
  std::erase_if(launchers_, [](Launcher& launcher) {
    std::error_code ignored;
    return !launcher.child.running(ignored);
  });
}

}  // namespace

void run_broker(const Broker::Duties& duties, int socket) { BrokerProcess(duties, socket).run(); }

}  // namespace holdfast::supervisor
