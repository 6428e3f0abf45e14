// The last lines that modules logged, for who asks for them later. Pure.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <string>

#include "ipc/client_messages.h"

namespace holdfast::supervisor {

// Whose lines; empty: of any.
struct LogFilter {
  std::string module;
  std::string version;

  bool covers(const ipc::LogRecord& record) const {
    return (module.empty() || module == record.module) && (version.empty() || version == record.version);
  }
};

// Of all modules together. Bounded in lines and in bytes: the oldest make room.
class ModuleLog {
 public:
  static constexpr std::size_t kMostRecords = 1000;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 20;

  void add(ipc::LogRecord record);

  // The last records that the filter covers, at most so many, oldest first.
  void for_last(std::size_t count, const LogFilter& filter,
                const std::function<void(const ipc::LogRecord&)>& use) const;

  std::size_t size() const { return records_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  std::deque<ipc::LogRecord> records_;
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::supervisor
