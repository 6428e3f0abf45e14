// Where the supervisor's log goes: standard error, as text or as JSON, one line for each entry.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "ipc/client_messages.h"
#include "supervisor/ids.h"

namespace holdfast::supervisor {

enum class LogFormat { text, json };

// Writing never waits for the log's reader (log_writer.h). Levels by spdlog's names: "debug", "info", "warning",
// "error", "off". What modules log has a level of its own.
void set_up_log(LogFormat format, const std::string& level, const std::string& module_level);

// While it lives, lines that could not be written at once are written by the event loop a little later.
class LogRetry {
 public:
  explicit LogRetry(boost::asio::io_context& io);
  ~LogRetry();
  LogRetry(const LogRetry&) = delete;
  LogRetry& operator=(const LogRetry&) = delete;

 private:
  void wait();
  boost::asio::steady_timer timer_;
};

// Writes what could not be written at once, as far as there is room now. False: some is left.
bool flush_log();

// For the end of the process: gives the reader a second to take what is left.
void finish_log();

// For a child that was forked: writes nothing of its parent's.
void abandon_log();

// Logs what a client of this user did, within the bounds of ClientLogBudget. `text` is printable.
void log_client_line(UserId user, ipc::LogLevel level, const std::string& text);

// Writes what a module logged. In text, line breaks and control characters are escaped: no module can forge a line.
void log_module_line(const ipc::LogRecord& record);

}  // namespace holdfast::supervisor
