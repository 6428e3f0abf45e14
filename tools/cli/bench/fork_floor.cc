#include "tools/cli/bench/fork_floor.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace holdfast::cli::bench {
namespace {

void wait_for(pid_t process) {
  while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

tl::expected<nanoseconds, std::string> time_fork() {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  if (child < 0) return tl::unexpected(fmt::format("cannot fork: {}", std::strerror(errno)));
  wait_for(child);
  return std::chrono::steady_clock::now() - begin;
}

ForkCallProgram::ForkCallProgram(std::string path, pid_t pid, UniqueFd socket)
    : path_(std::move(path)), pid_(pid), socket_(std::move(socket)) {}

ForkCallProgram::ForkCallProgram(ForkCallProgram&& other) noexcept
    : path_(std::move(other.path_)), pid_(std::exchange(other.pid_, -1)), socket_(std::move(other.socket_)) {}

ForkCallProgram::~ForkCallProgram() {
  socket_.reset();
  if (pid_ > 0) wait_for(pid_);
}

tl::expected<ForkCallProgram, std::string> ForkCallProgram::start(const std::string& path) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return tl::unexpected(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  }
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return tl::unexpected(fmt::format("cannot fork: {}", std::strerror(errno)));
  if (child == 0) {
    ::dup2(theirs.get(), STDIN_FILENO);
    ::dup2(theirs.get(), STDOUT_FILENO);
    ::execl(path.c_str(), path.c_str(), nullptr);
    ::_exit(127);
  }
  theirs.reset();  // otherwise this process would not see it close
  ForkCallProgram program(path, child, std::move(ours));
  if (const auto first = program.sample(); !first) return tl::unexpected(first.error());
  return program;
}

tl::expected<nanoseconds, std::string> ForkCallProgram::sample() {
  const auto failed = [this] {
    return tl::unexpected(fmt::format("{} did not answer a line with a number of nanoseconds", path_));
  };
  if (::send(socket_.get(), "\n", 1, MSG_NOSIGNAL) != 1) return failed();
  std::string line;
  constexpr std::size_t kMostDigits = 20;
  for (char c = 0; line.size() <= kMostDigits;) {
    if (::read(socket_.get(), &c, 1) != 1) return failed();
    if (c == '\n') break;
    line += c;
  }
  nanoseconds::rep nanos = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), nanos);
  if (error != std::errc() || end != line.data() + line.size() || nanos < 0) return failed();
  return nanoseconds(nanos);
}

}  // namespace holdfast::cli::bench
