// Writes the supervisor's log to standard error without ever waiting for whoever reads it: a pipe that nobody reads, or
// a terminal that was stopped, must hold up nothing but the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "ipc/unique_fd.h"

namespace holdfast::supervisor {

class LogWriter {
 public:
  static constexpr std::size_t kMostUnwritten = std::size_t{1} << 20;

  // Writes to `fd`, which stays the caller's and whose flags stay as they are: other processes use the same open file
  // (open(2)). Call while files can be opened. The process ignores SIGPIPE.
  explicit LogWriter(int fd);

  // One line, with its end. What cannot be written at once is kept; beyond kMostUnwritten lines are dropped and
  // counted.
  void write(std::string_view line);

  // Writes what was kept, as far as that can be done at once. False: some is left.
  bool flush();
  // The same, but waits for the reader until all is written or the time is over. For the end of the process.
  void flush_for(std::chrono::milliseconds time);

  // Makes the line that tells of lines that were dropped; it is written when there is room again.
  void set_format_of_dropped(std::function<std::string(std::uint64_t lines)> format) {
    format_of_dropped_ = std::move(format);
  }

  // Called when something is kept that flush() is to write later.
  void set_on_unwritten(std::function<void()> on_unwritten) { on_unwritten_ = std::move(on_unwritten); }

  // Forgets what is kept, and writes nothing any more: for a child that was forked, whose parent writes it.
  void abandon();

 private:
  enum class Kind {
    none,
    file,    // never waits for a reader
    own,     // an open file of our own, which does not wait (O_NONBLOCK)
    socket,  // told with each write not to wait
    shared,  // waits if it is full: asked before each write, which is no longer than what then fits
  };
  // As write(2); with EAGAIN there is no room.
  ssize_t write_some(std::string_view text) const;
  bool has_room(int millis) const;
  void tell_of_dropped();

  int fd_;
  Kind kind_ = Kind::shared;
  UniqueFd own_;
  std::string unwritten_;
  std::size_t written_ = 0;  // of `unwritten_`
  std::uint64_t dropped_ = 0;
  std::function<std::string(std::uint64_t)> format_of_dropped_;
  std::function<void()> on_unwritten_;
};

}  // namespace holdfast::supervisor
