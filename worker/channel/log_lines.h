// A module's log lines, on their way to the supervisor. Lines are cut, and dropped while much is unsent: answers matter
// more. The next line that is sent says how many were dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "ipc/worker_messages.h"
#include "worker/channel/outbox.h"

namespace holdfast::worker {

class LogLines {
 public:
  // A module may make a log line as long as it likes; at most 8 kB of it are shown. A little more shows that it is cut.
  static constexpr std::size_t kMaxLineBytes = (8 << 10) + 4;
  // While more than this is unsent, lines are dropped.
  static constexpr std::size_t kMaxUnsentBytes = 1 << 20;

  // `outbox` is not owned, and must outlive this object.
  explicit LogLines(Outbox& outbox) : outbox_(outbox) {}

  // Writes a line of this call (0: of none) to the outbox, or drops it.
  void add(ipc::LogLevel level, std::string_view text, std::uint64_t call) {
    if (outbox_.unsent_bytes() > kMaxUnsentBytes) {
      ++dropped_;
      return;
    }
    encode(outbox_.buffer(), ipc::LogLine{level, text.substr(0, kMaxLineBytes), call, std::exchange(dropped_, 0)});
  }

  // Whether lines were dropped since the last one that was sent.
  bool has_dropped() const { return dropped_ > 0; }

  // Says how many lines were dropped, if any were. Ignores kMaxUnsentBytes.
  void tell_of_dropped(std::uint64_t call) {
    if (dropped_ == 0) return;
    encode(outbox_.buffer(), ipc::LogLine{ipc::LogLevel::warning, "", call, std::exchange(dropped_, 0)});
  }

 private:
  Outbox& outbox_;
  std::uint64_t dropped_ = 0;  // since the last line that was sent
};

}  // namespace holdfast::worker
