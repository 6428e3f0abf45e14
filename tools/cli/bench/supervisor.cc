#include "tools/cli/bench/supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace holdfast::cli::bench {
namespace {

// V8 and the namespaces are set up before the first client is accepted.
constexpr std::chrono::milliseconds kHelloTimeout{20000};

// In a forked process: ends the supervisor once the other end of `lifeline` is closed. A parent-death signal would
// not do: the kernel clears it when a process changes its privileges, as holdfastd does.
[[noreturn]] void guard(const UniqueFd& supervisor, const UniqueFd& lifeline) {
  ::setpgid(0, 0);
  // All other descriptors are closed, so that this process keeps no other supervisor's lifeline open.
  ::dup2(lifeline.get(), STDIN_FILENO);
  const UniqueFd kept(::dup2(supervisor.get(), STDOUT_FILENO));
  ::close_range(STDERR_FILENO, ~0U, 0);
  char nothing = 0;
  while (::read(STDIN_FILENO, &nothing, 1) < 0 && errno == EINTR) {
  }
  ::syscall(SYS_pidfd_send_signal, kept.get(), SIGTERM, nullptr, 0);
  ::_exit(0);
}

// The first child of a process, or the process itself if the kernel does not list children (proc_pid_task(5)).
pid_t first_child_of(pid_t process) {
  std::ifstream children(fmt::format("/proc/{0}/task/{0}/children", process));
  pid_t child = 0;
  return children >> child ? child : process;
}

}  // namespace

BenchSupervisor::BenchSupervisor(ChildProcess process, std::string socket)
    : process_(std::move(process)), server_(process_.pid()), socket_(std::move(socket)) {}

tl::expected<BenchSupervisor, Stop> BenchSupervisor::start(const Context& context, const std::string& name,
                                                           const std::vector<std::string>& flags) {
  const auto program = find_supervisor();
  if (!program) return stop(program.error());
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return stop(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  const UniqueFd ready(ends[0]);
  UniqueFd told(ends[1]);

  const BenchOptions& options = context.options;
  const std::string socket = context.files.folder() / (name + ".sock");
  std::vector<std::string> arguments = {"--socket",
                                        socket,
                                        "--ready-fd",
                                        fmt::to_string(told.get()),
                                        "--modules",
                                        context.files.folder().string(),
                                        "--log-level",
                                        "error",
                                        "--idle-timeout",
                                        "1h",  // no worker is removed during a measurement
                                        "--profile",
                                        options.profile,
                                        "--isolation",
                                        options.isolation,
                                        "--speculation",
                                        options.speculation};
  if (!options.worker.empty()) arguments.insert(arguments.end(), {"--worker", options.worker});
  arguments.insert(arguments.end(), flags.begin(), flags.end());

  auto process = ChildProcess::start(*program, arguments, std::array{told.get()});
  if (!process) return stop(process.error());
  BenchSupervisor supervisor(std::move(*process), socket);
  told.reset();
  if (auto problem = supervisor.set_guard()) return tl::unexpected(*problem);
  char newline = 0;
  ssize_t count = 0;
  do {
    count = ::read(ready.get(), &newline, 1);
  } while (count < 0 && errno == EINTR);
  supervisor.server_ = first_child_of(supervisor.process_.pid());
  if (count != 1) return stop(fmt::format("the private supervisor {} {}", *program, supervisor.process_.wait()));
  auto client = connect_to(context, socket);
  if (!client) return tl::unexpected(client.error());
  supervisor.client_.emplace(std::move(*client));
  return supervisor;
}

std::optional<Stop> BenchSupervisor::set_guard() {
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid(), 0)));
  int ends[2] = {-1, -1};
  if (!process || ::pipe2(ends, O_CLOEXEC) != 0) {
    ::kill(pid(), SIGTERM);
    return stop(fmt::format("cannot watch a process: {}", std::strerror(errno))).value();
  }
  const UniqueFd lifeline(ends[0]);
  lifeline_.reset(ends[1]);
  const pid_t guardian = ::fork();
  if (guardian == 0) guard(process, lifeline);
  if (guardian < 0) {
    ::kill(pid(), SIGTERM);
    return stop(fmt::format("cannot fork: {}", std::strerror(errno))).value();
  }
  guard_.emplace(guardian);
  return std::nullopt;
}

std::vector<std::string> pool_flags(std::size_t workers, unsigned standbys) {
  std::vector<std::string> flags = {"--max-workers", fmt::to_string(workers), "--standby", fmt::to_string(standbys)};
  if (standbys == 0) flags.insert(flags.end(), {"--standby-max", "0"});
  return flags;
}

tl::expected<ipc::Client, Stop> connect_to(const Context& context, const std::string& socket) {
  auto client =
      ipc::Client::connect(socket, {.name = "holdfast bench " HOLDFAST_VERSION, .hello_timeout = kHelloTimeout});
  if (!client) return stop(client.error().message);
  context.supervisor_version = client->server().server_version;
  return std::move(*client);
}

tl::expected<Target, Stop> Target::open(const Context& context, const std::vector<std::string>& flags) {
  Target target;
  if (context.options.socket && context.options.target) {
    auto client = connect_to(context, *context.options.socket);
    if (!client) return tl::unexpected(client.error());
    target.client_.emplace(std::move(*client));
    target.socket_ = *context.options.socket;
    target.module_ = *context.options.target;
    return target;
  }
  target.module_ = {"hot", "bench"};
  if (auto written = context.files.write(target.module_); !written) return stop(written.error());
  std::vector<std::string> all = pool_flags(4, 1);
  all.insert(all.end(), flags.begin(), flags.end());
  auto supervisor = BenchSupervisor::start(context, "hot", all);
  if (!supervisor) return tl::unexpected(supervisor.error());
  target.supervisor_.emplace(std::move(*supervisor));
  target.socket_ = target.supervisor_->socket();
  return target;
}

}  // namespace holdfast::cli::bench
