#include "tools/cli/bench/floor.h"

#include <cerrno>
#include <cstring>
#include <span>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <linux/close_range.h>
#include <sys/socket.h>
#include <sys/wait.h>

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

// In a forked process: `left` becomes standard input and `right` standard output, and nothing else stays open, so that
// no socket of the program is kept alive here.
void keep_only(int left, int right) {
  const UniqueFd second(::dup(right));  // `right` may be standard input's number
  ::dup2(left, STDIN_FILENO);
  ::dup2(second.get(), STDOUT_FILENO);
  ::close_range(STDERR_FILENO + 1, ~0U, 0);
}

[[noreturn]] void be_relay(Bytes request, Bytes answer) {
  while (read_all(STDIN_FILENO, request) && write_all(STDOUT_FILENO, request) && read_all(STDOUT_FILENO, answer) &&
         write_all(STDIN_FILENO, answer)) {
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

tl::expected<SocketPair, std::string> make_socket_pair() {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
    return tl::unexpected(fmt::format("cannot make a socket: {}", std::strerror(errno)));
  }
  return SocketPair{UniqueFd(ends[0]), UniqueFd(ends[1])};
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

tl::expected<Floor, std::string> Floor::start(std::size_t request_bytes, std::size_t answer_bytes) {
  auto to_relay = make_socket_pair();
  if (!to_relay) return tl::unexpected(to_relay.error());
  auto to_worker = make_socket_pair();
  if (!to_worker) return tl::unexpected(to_worker.error());

  Floor floor(std::move(to_relay->left), {}, request_bytes, answer_bytes);
  for (const bool relay : {true, false}) {
    const pid_t process = ::fork();
    if (process < 0) return tl::unexpected(fmt::format("cannot fork: {}", std::strerror(errno)));
    if (process > 0) {
      floor.processes_.push_back(process);
    } else if (relay) {
      keep_only(to_relay->right.get(), to_worker->left.get());
      be_relay(floor.request_, floor.answer_);
    } else {
      keep_only(to_worker->right.get(), to_worker->right.get());
      be_worker(floor.request_, floor.answer_);
    }
  }
  return floor;
}

bool Floor::round_trip() { return write_all(socket_.get(), request_) && read_all(socket_.get(), answer_); }

}  // namespace holdfast::cli::bench
