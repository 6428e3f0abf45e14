// What a run came to: figures in the order in which they were noted, and everything that did not hold. May be used by
// several threads at a time.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace holdfast::soak {

class Report {
 public:
  // `verbose`: each note is printed at once. Whatever breaks is printed at once in any case, on standard error.
  explicit Report(bool verbose) : verbose_(verbose) {}

  // Replaces the figure of that name, if there is one.
  void figure(const std::string& name, nlohmann::ordered_json value);
  // What must hold did not. The run goes on: what else breaks tells more.
  void broken(const std::string& what);
  // What is going on, for whoever looks for the reason of a failure.
  void note(const std::string& what);

  bool held() const;
  // The last notes, oldest first.
  std::string last_notes() const;
  // On standard output: one object, or one line for each figure. Ends with the verdict.
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
