// Calls, and what they came to, in words that read well in an assertion.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ipc/client.h"

namespace holdfast::test {

// Where a function is and how it is called. Texts are kept, so that it can outlive what it was made from.
struct CallTo {
  std::string module;
  std::string function;
  std::string payload = "null";
  std::chrono::milliseconds timeout{0};
  ipc::ArgumentStyle arguments = ipc::ArgumentStyle::single;
  std::string version = "v1";
  bool idempotent = false;

  // Points into this object.
  ipc::CallRequest request() const;
};

ipc::Answer call(ipc::Client& client, const CallTo& to);

// The result's JSON, or "code: message".
std::string outcome(const ipc::Answer& answer);

// The code's name, such as "cpu_exceeded", or "result".
std::string code_of(const ipc::Answer& answer);

// Fails the test if the answer is a result.
ipc::Error error_of(const ipc::Answer& answer);

bool contains(std::string_view text, std::string_view part);
// How often the text has this part.
std::size_t occurrences(std::string_view text, std::string_view part);

// Calls under way on one connection, each with the answer that it got.
class Calls {
 public:
  explicit Calls(ipc::Client& client) : client_(client) {}

  // Starts a call and returns its place in answers().
  std::size_t start(const CallTo& to);
  void cancel(std::size_t place) { client_.cancel(ids_[place]); }

  // Serves the connection until the call, or every call, is answered.
  const ipc::Answer& wait_for(std::size_t place);
  void wait_for_all();

  bool is_answered(std::size_t place) const { return answers_[place].has_value(); }
  std::size_t size() const { return answers_.size(); }
  // The answer of a call that has one.
  const ipc::Answer& answer(std::size_t place) const { return *answers_[place]; }
  // Places, in the order in which the answers came.
  const std::vector<std::size_t>& order() const { return order_; }
  // How many ended with this, as code_of() has it.
  std::size_t count(const std::string& code) const;

 private:
  ipc::Client& client_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::optional<ipc::Answer>> answers_;
  std::vector<std::size_t> order_;
};

// The worker that has the module, or, of several, the one that was started last: a client whose calls killed workers is
// served by one of its own, beside the module's others. Fails the test if there is none.
ipc::WorkerInfo worker_of(ipc::Client& client, const std::string& module);

// Whether the worker is gone that a call of the module killed: the one that was there before, or, if the function had
// killed one before, another, which served such calls alone.
bool killed_worker_is_gone(ipc::Client& client, const std::string& module, pid_t before);
std::vector<ipc::WorkerInfo> workers(ipc::Client& client);

// What the supervisor has counted for the module; fails the test if it knows none of the name, or several versions.
ipc::ModuleStats stats_of(ipc::Client& client, const std::string& module);

// Waits until the supervisor's list of workers is as it should be; false if that does not happen.
bool workers_become(ipc::Client& client, const std::function<bool(const std::vector<ipc::WorkerInfo>&)>& condition);

}  // namespace holdfast::test
