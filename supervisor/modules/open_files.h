// Module files that are opened before there is a worker to load them: opening a file takes a round trip to the broker,
// for which there is time while the worker is made.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "supervisor/broker/module_file.h"

namespace holdfast::supervisor {

class OpenFiles {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;

  // A file that is not read within this time is closed, and opened again when it is needed.
  static constexpr std::chrono::milliseconds kKept{100};
  // How many files are kept open at most; further ones are closed at once.
  static constexpr std::size_t kMost = 64;

  // Keeps the file open. The pointer expires when the file is closed; it is empty if kMost files are open already.
  std::weak_ptr<ModuleFile> keep(ModuleFile file, TimePoint now) {
    if (files_.size() >= kMost) return {};
    files_.emplace_back(now + kKept, std::make_shared<ModuleFile>(std::move(file)));
    return files_.back().second;
  }

  void close_old(TimePoint now) {
    while (!files_.empty() && files_.front().first <= now) files_.pop_front();
  }

  std::optional<TimePoint> next_wakeup() const {
    if (files_.empty()) return std::nullopt;
    return files_.front().first;
  }

 private:
  std::deque<std::pair<TimePoint, std::shared_ptr<ModuleFile>>> files_;  // the oldest first
};

}  // namespace holdfast::supervisor
