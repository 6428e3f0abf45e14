#include "tools/cli/private_supervisor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>

#include "tools/cli/start_failure.h"

extern char** environ;

namespace holdfast::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

// Longer than an orderly end, which includes the workers' deaths; short, because a person is waiting.
constexpr milliseconds kEndTimeout{5000};
// V8 and the namespaces are set up before the hello; this leaves room for sanitizers and a busy machine.
constexpr std::chrono::seconds kHelloTimeout{20};

tl::unexpected<StartError> cannot_start(std::string message) { return tl::unexpected(StartError{std::move(message)}); }

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

tl::expected<fs::path, std::string> own_folder() {
  std::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  if (error) return tl::unexpected(fmt::format("cannot read /proc/self/exe: {}", error.message()));
  return self.parent_path();
}

// The wait status of a holdfastd that refuses its arguments: exit code 2.
constexpr int kUsageStatus = 2 << 8;

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) return fmt::format("was killed by SIG{}", sigabbrev_np(WTERMSIG(status)));
  return fmt::format("ended with exit code {}", WEXITSTATUS(status));
}

// Waits for the newline of --ready-fd; returns the problem if it does not come.
std::optional<std::string> wait_until_ready(const UniqueFd& pipe) {
  pollfd wanted = {pipe.get(), POLLIN, 0};
  int found = 0;
  do {
    found = ::poll(&wanted, 1, static_cast<int>(milliseconds(kHelloTimeout).count()));
  } while (found < 0 && errno == EINTR);
  char newline = 0;
  if (found > 0 && ::read(pipe.get(), &newline, 1) == 1) return std::nullopt;
  if (found > 0) return "it ended before it had workers";
  return fmt::format("it had no workers within {} s", kHelloTimeout.count());
}

// The actions and attributes of posix_spawn(3), released with their owner.
struct SpawnPlan {
  SpawnPlan() {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
};

}  // namespace

ChildProcess::ChildProcess(pid_t pid) : pid_(pid) {}

tl::expected<ChildProcess, std::string> ChildProcess::start(const std::string& program,
                                                            const std::vector<std::string>& arguments,
                                                            std::span<const int> kept, int errors) {
  SpawnPlan plan;
  posix_spawn_file_actions_addopen(&plan.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&plan.actions, errors, STDERR_FILENO);
  posix_spawn_file_actions_adddup2(&plan.actions, STDERR_FILENO, STDOUT_FILENO);
  for (const int fd : kept) posix_spawn_file_actions_adddup2(&plan.actions, fd, fd);  // only clears close-on-exec

  sigset_t none;
  sigset_t defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (const int signal : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigmask(&plan.attributes, &none);
  posix_spawnattr_setsigdefault(&plan.attributes, &defaults);
  posix_spawnattr_setpgroup(&plan.attributes, 0);
  posix_spawnattr_setflags(&plan.attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);

  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);

  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &plan.actions, &plan.attributes, argv.data(), environ);
  if (error != 0) return tl::unexpected(fmt::format("cannot start {}: {}", program, std::strerror(error)));
  return ChildProcess(pid);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) wait();
}

std::string ChildProcess::wait() {
  // The pid cannot mean another process before this process has waited for it.
  const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
  pollfd ended = {process.get(), POLLIN, 0};
  int ready = 0;
  do {
    ready = ::poll(&ended, 1, static_cast<int>(kEndTimeout.count()));
  } while (ready < 0 && errno == EINTR);
  if (ready <= 0) ::kill(pid_, SIGKILL);

  int status = 0;
  pid_t waited = 0;
  do {
    waited = ::waitpid(pid_, &status, 0);
  } while (waited < 0 && errno == EINTR);
  pid_ = -1;
  return waited < 0 ? "ended" : describe_end(status);
}

tl::expected<PrivateSupervisor, StartError> PrivateSupervisor::start(const std::vector<std::string>& arguments) {
  const auto program = find_supervisor();
  if (!program) return cannot_start(program.error());

  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return cannot_start(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  if (::pipe2(ends, O_CLOEXEC) != 0) return cannot_start(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  const UniqueFd ready(ends[0]);
  UniqueFd tells_ready(ends[1]);
  auto errors = ErrorRelay::open();
  if (!errors) return cannot_start(fmt::format("cannot read the output of {}: {}", *program, std::strerror(errno)));
  std::vector<std::string> all = {"--client-fd", fmt::to_string(theirs.get()), "--ready-fd",
                                  fmt::to_string(tells_ready.get())};
  all.insert(all.end(), arguments.begin(), arguments.end());
  auto process =
      ChildProcess::start(*program, all, std::array{theirs.get(), tells_ready.get()}, errors->program_end().get());
  if (!process) return cannot_start(process.error());
  theirs.reset();  // otherwise this process would not see it close
  tells_ready.reset();
  errors->program_end().reset();

  auto client =
      ipc::Client::adopt(std::move(ours), {.name = "holdfast " HOLDFAST_VERSION, .hello_timeout = kHelloTimeout});
  // The hello comes before there are workers, whose start may still fail.
  const std::optional<std::string> problem = client ? wait_until_ready(ready) : std::optional(client.error().message);
  if (!problem) {
    errors->pass_on();
    return PrivateSupervisor(std::move(errors), std::move(*process), std::move(*client));
  }
  if (client) client = tl::unexpected(ipc::ConnectError{});  // closes the connection, which ends the supervisor
  const std::string end = process->wait();
  // If the supervisor ended, report what it printed rather than the lost session.
  const std::string reason = reason_of_failed_start(errors->take());
  if (!reason.empty()) return tl::unexpected(StartError{reason, end == describe_end(kUsageStatus)});
  return cannot_start(fmt::format("the private supervisor {} {}: {}", *program, end, *problem));
}

tl::expected<std::string, std::string> find_supervisor() {
  constexpr const char* kName = "holdfastd";
  if (const char* chosen = std::getenv("HOLDFAST_SUPERVISOR"); chosen != nullptr && *chosen != '\0') {
    if (is_program(chosen)) return chosen;
    return tl::unexpected(
        fmt::format("HOLDFAST_SUPERVISOR is {}, which is not a program; set it to the path of holdfastd", chosen));
  }
  const auto folder = own_folder();
  if (!folder) return tl::unexpected(folder.error());
  for (const fs::path& path : {*folder / kName, *folder / "../sbin" / kName, *folder / "../../supervisor" / kName}) {
    if (is_program(path)) return path.lexically_normal().string();
  }
  const char* search = std::getenv("PATH");
  std::string_view left = search == nullptr ? "" : search;
  while (!left.empty()) {
    const std::size_t end = std::min(left.find(':'), left.size());
    // An empty entry means the current folder (environ(7)); never start a program from there by accident.
    if (const fs::path path = fs::path(left.substr(0, end)) / kName; end > 0 && is_program(path)) return path.string();
    left.remove_prefix(std::min(end + 1, left.size()));
  }
  return tl::unexpected(fmt::format(
      "cannot find holdfastd: it is neither in {} nor in PATH; set HOLDFAST_SUPERVISOR to its path", folder->string()));
}

}  // namespace holdfast::cli
