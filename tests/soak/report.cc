#include "tests/soak/report.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

namespace holdfast::soak {
namespace {

// One cause may make thousands of calls fail; the first failures show what it is.
constexpr std::size_t kMostBroken = 50;
constexpr std::size_t kMostNotes = 40;

}  // namespace

void Report::figure(const std::string& name, nlohmann::ordered_json value) {
  const std::lock_guard lock(mutex_);
  figures_[name] = std::move(value);
}

void Report::broken(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (++broken_count_ > kMostBroken) return;
  broken_.push_back(what);
  fmt::print(stderr, "broken: {}\n", what);
}

void Report::note(const std::string& what) {
  const std::lock_guard lock(mutex_);
  // Starts with the time of day, as lines in holdfastd's log do.
  const auto now = std::chrono::system_clock::now();
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count() % 1000;
  notes_.push_back(
      fmt::format("{:%H:%M:%S}.{:03} {}", fmt::localtime(std::chrono::system_clock::to_time_t(now)), millis, what));
  if (verbose_) fmt::print(stderr, "{}\n", notes_.back());
  if (notes_.size() > 2 * kMostNotes) notes_.erase(notes_.begin(), notes_.begin() + kMostNotes);
}

bool Report::held() const {
  const std::lock_guard lock(mutex_);
  return broken_count_ == 0;
}

std::string Report::last_notes() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& note : notes_) text += note + "\n";
  return text;
}

void Report::print(bool as_json) const {
  const std::lock_guard lock(mutex_);
  if (as_json) {
    nlohmann::ordered_json all = figures_;
    all["broken"] = broken_;
    all["broken_count"] = broken_count_;
    all["held"] = broken_count_ == 0;
    fmt::print("{}\n", all.dump(2));
    return;
  }
  for (const auto& [name, value] : figures_.items()) {
    fmt::print("{:<34} {}\n", name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  if (broken_count_ == 0) {
    fmt::print("everything held\n");
  } else {
    fmt::print("{} broken\n", broken_count_);
  }
}

}  // namespace holdfast::soak
