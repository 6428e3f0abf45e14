// Counts all calls: how many were made, how they ended, and how long the answers took. Several threads may use it at a
// time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>

#include "ipc/client.h"
#include "tests/soak/run.h"

namespace holdfast::soak {

class Ledger {
 public:
  void made(const std::string& kind);
  void answered(const std::string& kind, const ipc::Answer& answer, Clock::duration wait);

  std::uint64_t made() const;
  std::uint64_t answered() const;
  std::uint64_t results() const;
  Clock::duration worst_wait() const;
  // The largest number of workers that any one call was given to.
  std::uint32_t most_attempts() const;
  // {kind: {"made": …, "given again": …, "result": …, CODE: …}}
  nlohmann::ordered_json by_kind() const;

 private:
  struct Row {
    std::uint64_t made = 0;
    std::uint64_t results = 0;
    std::uint64_t again = 0;  // calls that were given to more than one worker
    std::array<std::uint64_t, ipc::kErrorCodeCount> errors{};
  };

  mutable std::mutex mutex_;
  std::map<std::string, Row> rows_;
  std::uint64_t made_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t results_ = 0;
  Clock::duration worst_wait_{0};
  std::uint32_t most_attempts_ = 0;
};

}  // namespace holdfast::soak
