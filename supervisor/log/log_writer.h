// Writes the supervisor's log to standard error without ever waiting for the log's reader: a pipe that is not read,
// or a terminal that was stopped, must hold up nothing but the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "ipc/base/unique_fd.h"

namespace holdfast::supervisor {

class LogWriter {
 public:
  static constexpr std::size_t kMostUnwritten = std::size_t{1} << 20;

  // Writes to `fd`, which the caller keeps. Its flags stay as they are, because other processes use the same open
  // file (open(2)). Call while the process may open files. The process must ignore SIGPIPE.
  explicit LogWriter(int fd);

  // Writes one line; `line` includes the line end. What cannot be written at once is kept. If more than
  // kMostUnwritten bytes would be kept, the line is dropped and counted.
  void write(std::string_view line);

  // Writes what was kept, as far as that is possible at once. False: some is left.
  bool flush();
  // Writes what was kept, and waits for the reader until all is written or the time is over. For the end of the
  // process.
  void flush_for(std::chrono::milliseconds time);

  // Sets the function that makes the line about dropped lines; that line is written when there is room again.
  void set_format_of_dropped(std::function<std::string(std::uint64_t lines)> format) {
    format_of_dropped_ = std::move(format);
  }

  // Sets the function that is called when something is kept for a later flush().
  void set_on_unwritten(std::function<void()> on_unwritten) { on_unwritten_ = std::move(on_unwritten); }

  // Drops what is kept, and writes nothing from now on. For a forked child, because its parent writes what is kept.
  void abandon();

 private:
  enum class Kind {
    none,
    file,    // never waits for a reader
    own,     // an open file of our own that never waits (O_NONBLOCK)
    socket,  // each write is told not to wait
    shared,  // may wait when it is full: polled before each write, which is at most what then fits
  };
  // Writes as write(2) does; EAGAIN: there is no room.
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
