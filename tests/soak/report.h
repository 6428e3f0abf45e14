// The report of a run: figures in the order in which they were noted, and every failure. Several threads may use it at
// a time.
#pragma once

#include <cstddef>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace holdfast::soak {

class Report {
 public:
  // `verbose`: prints each note at once. Failures are always printed at once, on standard error.
  explicit Report(bool verbose) : verbose_(verbose) {}

  // Replaces the figure of that name, if there is one.
  void figure(const std::string& name, nlohmann::ordered_json value);
  // Records a failure. The run goes on, as further failures help to find the cause.
  void broken(const std::string& what);
  // Records an event that may help to explain a failure.
  void note(const std::string& what);

  bool held() const;
  // The last notes, oldest first.
  std::string last_notes() const;
  // Prints to standard output: one JSON object, or one line for each figure. Ends with the verdict.
  void print(bool as_json) const;

 private:
  const bool verbose_;
  mutable std::mutex mutex_;
  nlohmann::ordered_json figures_ = nlohmann::ordered_json::object();
  std::vector<std::string> broken_;
  std::size_t broken_count_ = 0;
  std::vector<std::string> notes_;
};

}  // namespace holdfast::soak
