// Where the supervisor's log goes: standard error, as text or as JSON, one line for each entry.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <string>

#include "ipc/client_messages.h"
#include "supervisor/scheduler/ids.h"

namespace holdfast::supervisor {

enum class LogFormat { text, json };

// Writing never waits for the log's reader (log_writer.h). Levels by spdlog's names: "debug", "info", "warning",
// "error", "off". What modules log has a level of its own.
void set_up_log(LogFormat format, const std::string& level, const std::string& module_level);

// While it lives, the event loop retries lines that could not be written at once, a little later.
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

// Writes lines that could not be written at once, as far as there is room now. False: some are left.
bool flush_log();

// Call before the process ends: gives the log's reader up to a second to take what is left.
void finish_log();

// For a forked child: drops what its parent has not written yet, and writes nothing from now on.
void abandon_log();

// Logs what a client of this user did, within the bounds of ClientLogBudget. `text` must be printable.
void log_client_line(UserId user, ipc::LogLevel level, const std::string& text);

// Writes a line that a module logged. In text, line breaks and control characters are escaped, so no module can forge
// a line.
void log_module_line(const ipc::LogRecord& record);

}  // namespace holdfast::supervisor
