// The last lines that modules logged, for clients that ask for them later. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>

#include "ipc/client_messages.h"

namespace holdfast::supervisor {

// Which module's lines; an empty field stands for any.
struct LogFilter {
  std::string module;
  std::string version;

  bool covers(const ipc::LogRecord& record) const {
    return (module.empty() || module == record.module) && (version.empty() || version == record.version);
  }
};

// The last log lines of all modules together, bounded in lines and in bytes: the oldest lines are dropped first.
class ModuleLog {
 public:
  static constexpr std::size_t kMostRecords = 1000;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;

  void add(ipc::LogRecord record);

  // Calls `use` with the last records that the filter covers: at most `count`, the oldest first.
  void for_last(std::size_t count, const LogFilter& filter,
                const std::function<void(const ipc::LogRecord&)>& use) const;

  std::size_t size() const { return records_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::deque<ipc::LogRecord> records_;
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::supervisor
