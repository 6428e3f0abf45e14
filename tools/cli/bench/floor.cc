#include "tools/cli/bench/floor.h"

#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

namespace holdfast::cli::bench {
namespace {

using Bytes = std::span<std::byte>;

bool read_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::read(fd, bytes.data(), bytes.size());
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

bool write_all(int fd, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    if (count <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return true;
}

// In a forked process: `left` becomes standard input and `right` standard output. All other descriptors are closed,
// so that the process keeps none of the program's sockets open.
void keep_only(int left, int right) {
  const UniqueFd second(::dup(right));  // `right` may be descriptor 0
  ::dup2(left, STDIN_FILENO);
  ::dup2(second.get(), STDOUT_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
}

// Passes on each part as soon as it arrives.
bool pass_on(int from, int to, std::size_t size, Bytes buffer) {
  while (size > 0) {
    const ssize_t count = ::read(from, buffer.data(), std::min(size, buffer.size()));
    if (count <= 0 || !write_all(to, buffer.first(static_cast<std::size_t>(count)))) return false;
    size -= static_cast<std::size_t>(count);
  }
  return true;
}

[[noreturn]] void be_relay(std::size_t request_bytes, std::size_t answer_bytes) {
  constexpr std::size_t kMostAtOnce = 256 * 1024;
  std::vector<std::byte> buffer(std::min(std::max(request_bytes, answer_bytes), kMostAtOnce));
  while (pass_on(STDIN_FILENO, STDOUT_FILENO, request_bytes, buffer) &&
         pass_on(STDOUT_FILENO, STDIN_FILENO, answer_bytes, buffer)) {
  }
  ::_exit(0);
}

[[noreturn]] void be_worker(Bytes request, Bytes answer) {
  while (read_all(STDIN_FILENO, request) && write_all(STDIN_FILENO, answer)) {
  }
  ::_exit(0);
}

struct SocketPair {
  UniqueFd left;
  UniqueFd right;
};

// Without ends, and with errno set, on failure.
SocketPair make_socket_pair() {
  int ends[2] = {-1, -1};
  ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends);
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

tl::unexpected<std::string> no_socket() {
  return tl::unexpected(fmt::format("cannot make a socket: {}", std::strerror(errno)));
}

}  // namespace

Floor::Floor(UniqueFd socket, std::vector<pid_t> processes, std::size_t request_bytes, std::size_t answer_bytes)
    : socket_(std::move(socket)), processes_(std::move(processes)), request_(request_bytes), answer_(answer_bytes) {}

Floor::Floor(Floor&& other) noexcept
    : socket_(std::move(other.socket_)),
      processes_(std::exchange(other.processes_, {})),
      request_(std::move(other.request_)),
      answer_(std::move(other.answer_)) {}

Floor::~Floor() {
  socket_.reset();
  for (const pid_t process : processes_) {
    while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
}

tl::expected<Floor, std::string> Floor::start(Path path, std::size_t request_bytes, std::size_t answer_bytes) {
  auto to_next = make_socket_pair();
  if (!to_next.left) return no_socket();
  Floor floor(std::move(to_next.left), {}, request_bytes, answer_bytes);
  // Forks a process that runs `child`, which must not return.
  const auto fork_into = [&floor](auto child) -> tl::expected<void, std::string> {
    const pid_t process = ::fork();
    if (process < 0) return tl::unexpected(fmt::format("cannot fork: {}", std::strerror(errno)));
    if (process == 0) child();
    floor.processes_.push_back(process);
    return {};
  };
  if (path == Path::relayed) {
    auto to_worker = make_socket_pair();
    if (!to_worker.left) return no_socket();
    const auto relay = fork_into([&] {
      keep_only(to_next.right.get(), to_worker.left.get());
      be_relay(request_bytes, answer_bytes);
    });
    if (!relay) return tl::unexpected(relay.error());
    to_next = std::move(to_worker);
    to_next.left.reset();
  }
  const auto worker = fork_into([&] {
    keep_only(to_next.right.get(), to_next.right.get());
    be_worker(floor.request_, floor.answer_);
  });
  if (!worker) return tl::unexpected(worker.error());
  return floor;
}

bool Floor::round_trip() { return write_all(socket_.get(), request_) && read_all(socket_.get(), answer_); }

}  // namespace holdfast::cli::bench
