#include "tools/cli/standard_streams.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace holdfast::cli {
namespace {

// Returns 0 or an errno value.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return 0;
}

}  // namespace

tl::expected<std::string, std::string> read_standard_input() {
  std::string text;
  std::array<char, 65536> piece;
  for (;;) {
    const ssize_t count = ::read(STDIN_FILENO, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return tl::unexpected(fmt::format("cannot read standard input: {}", std::strerror(errno)));
    if (count == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
}

bool write_standard_output(std::string_view text) {
  const int error = write_all(STDOUT_FILENO, text);
  if (error == 0 || error == EPIPE) return true;
  write_standard_error(fmt::format("error: cannot write to standard output: {}\n", std::strerror(error)));
  return false;
}

// poll(2): the write end of a pipe or socket without a reader is in error.
bool standard_output_has_reader() {
  pollfd output = {STDOUT_FILENO, 0, 0};
  return ::poll(&output, 1, 0) < 0 || (output.revents & (POLLERR | POLLHUP)) == 0;
}

void write_standard_error(std::string_view text) { static_cast<void>(write_all(STDERR_FILENO, text)); }

}  // namespace holdfast::cli
