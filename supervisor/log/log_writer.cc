#include "supervisor/log/log_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast::supervisor {

LogWriter::LogWriter(int fd) : fd_(fd) {
  struct stat status;
  if (::fstat(fd, &status) != 0) {
    kind_ = Kind::none;
  } else if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
    kind_ = Kind::file;
  } else if (S_ISSOCK(status.st_mode)) {
    kind_ = Kind::socket;
  } else {
    // A pipe or a terminal. If it is another user's, it cannot be opened.
    own_.reset(
        ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own_) kind_ = Kind::own;
  }
}

void LogWriter::write(std::string_view line) {
  if (kind_ == Kind::none) return;
  if (!flush()) {
    // After a dropped line, no line is kept until the reader can be told about the loss.
    if (dropped_ > 0 || unwritten_.size() - written_ + line.size() > kMostUnwritten) {
      ++dropped_;
      return;
    }
    unwritten_ += line;
    return;
  }
  while (!line.empty()) {
    const ssize_t count = write_some(line);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != EAGAIN) return;  // a full disk, or a reader that has left: the line is lost
    if (count < 0) break;
    line.remove_prefix(static_cast<std::size_t>(count));
  }
  unwritten_ = line;
  if (!unwritten_.empty() && on_unwritten_) on_unwritten_();
}

bool LogWriter::flush() {
  while (written_ < unwritten_.size()) {
    const ssize_t count = write_some(std::string_view(unwritten_).substr(written_));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) {
      if (written_ < unwritten_.size() / 2) return false;
      unwritten_.erase(0, std::exchange(written_, 0));
      return false;
    }
    written_ = count < 0 ? unwritten_.size() : written_ + static_cast<std::size_t>(count);
    // Once the reader takes something again, it is told what it has missed, behind what was kept.
    if (dropped_ > 0 && unwritten_.size() - written_ < kMostUnwritten / 2) tell_of_dropped();
  }
  unwritten_ = {};
  written_ = 0;
  return true;
}

void LogWriter::flush_for(std::chrono::milliseconds time) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + time;
  while (!flush()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    if (left <= 0 || !has_room(static_cast<int>(left))) return;
  }
}

void LogWriter::abandon() {
  kind_ = Kind::none;
  unwritten_ = {};
  written_ = 0;
  dropped_ = 0;
}

void LogWriter::tell_of_dropped() {
  const std::uint64_t lines = std::exchange(dropped_, 0);
  unwritten_ += format_of_dropped_ ? format_of_dropped_(lines) : fmt::format("{} log lines dropped\n", lines);
}

ssize_t LogWriter::write_some(std::string_view text) const {
  switch (kind_) {
    case Kind::file:
      return ::write(fd_, text.data(), text.size());
    case Kind::own:
      return ::write(own_.get(), text.data(), text.size());
    case Kind::socket:
      return ::send(fd_, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    case Kind::shared:
      if (!has_room(0)) {
        errno = EAGAIN;
        return -1;
      }
      return ::write(fd_, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    case Kind::none:
      break;
  }
  return static_cast<ssize_t>(text.size());
}

// An error counts as room, because write(2) tells it.
bool LogWriter::has_room(int millis) const {
  pollfd wanted = {kind_ == Kind::own ? own_.get() : fd_, POLLOUT, 0};
  return ::poll(&wanted, 1, millis) > 0;
}

}  // namespace holdfast::supervisor
