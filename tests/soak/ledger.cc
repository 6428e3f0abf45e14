#include "tests/soak/ledger.h"

#include <algorithm>

namespace holdfast::soak {

void Ledger::made(const std::string& kind) {
  const std::lock_guard lock(mutex_);
  ++rows_[kind].made;
  ++made_;
}

void Ledger::answered(const std::string& kind, const ipc::Answer& answer, Clock::duration wait) {
  const std::lock_guard lock(mutex_);
  Row& row = rows_[kind];
  ++answered_;
  worst_wait_ = std::max(worst_wait_, wait);
  most_attempts_ = std::max(most_attempts_, answer.usage.attempts);
  row.again += answer.usage.attempts > 1;
  if (answer) {
    ++row.results;
    ++results_;
  } else {
    ++row.errors.at(static_cast<std::size_t>(answer.error().code));
  }
}

std::uint64_t Ledger::made() const {
  const std::lock_guard lock(mutex_);
  return made_;
}

std::uint64_t Ledger::answered() const {
  const std::lock_guard lock(mutex_);
  return answered_;
}

std::uint64_t Ledger::results() const {
  const std::lock_guard lock(mutex_);
  return results_;
}

Clock::duration Ledger::worst_wait() const {
  const std::lock_guard lock(mutex_);
  return worst_wait_;
}

std::uint32_t Ledger::most_attempts() const {
  const std::lock_guard lock(mutex_);
  return most_attempts_;
}

nlohmann::ordered_json Ledger::by_kind() const {
  const std::lock_guard lock(mutex_);
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  for (const auto& [name, row] : rows_) {
    nlohmann::ordered_json counts = {{"made", row.made}};
    if (row.again > 0) counts["given again"] = row.again;
    if (row.results > 0) counts["result"] = row.results;
    for (std::size_t code = 0; code < row.errors.size(); ++code) {
      if (row.errors[code] > 0)
        counts[std::string(ipc::to_string(static_cast<ipc::ErrorCode>(code)))] = row.errors[code];
    }
    all[name] = std::move(counts);
  }
  return all;
}

}  // namespace holdfast::soak
