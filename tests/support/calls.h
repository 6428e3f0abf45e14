// Makes calls, and puts their outcomes into words that read well in an assertion.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "ipc/client.h"

namespace holdfast::test {

// Which function to call, and how. Owns its texts.
struct CallTo {
  std::string module;
  std::string function;
  std::string payload = "null";
  std::chrono::milliseconds timeout{0};
  ipc::ArgumentStyle arguments = ipc::ArgumentStyle::single;
  std::string version = "v1";
  bool idempotent = false;

  // The request points into this object.
  ipc::CallRequest request() const;
};

ipc::Answer call(ipc::Client& client, const CallTo& to);

// The result's payload, or "code: message".
std::string outcome(const ipc::Answer& answer);

// The error code's name, such as "cpu_exceeded", or "result".
std::string code_of(const ipc::Answer& answer);

// The answer's error; fails the test if the answer is a result.
ipc::Error error_of(const ipc::Answer& answer);

bool contains(std::string_view text, std::string_view part);
// How often `part` occurs in the text.
std::size_t occurrences(std::string_view text, std::string_view part);

// Calls in progress on one connection, each with its answer once it has one.
class Calls {
 public:
  explicit Calls(ipc::Client& client) : client_(client) {}

  // Starts a call and returns its place, by which the other functions know it.
  std::size_t start(const CallTo& to);
  void cancel(std::size_t place) { client_.cancel(ids_[place]); }

  // Serve the connection until the call is answered, or until every call is.
  const ipc::Answer& wait_for(std::size_t place);
  void wait_for_all();

  bool is_answered(std::size_t place) const { return answers_[place].has_value(); }
  std::size_t size() const { return answers_.size(); }
  // The call must have been answered.
  const ipc::Answer& answer(std::size_t place) const { return *answers_[place]; }
  // The places of the answered calls, in the order of their answers.
  const std::vector<std::size_t>& order() const { return order_; }
  // How many calls ended with this code, in the words of code_of().
  std::size_t count(const std::string& code) const;

 private:
  ipc::Client& client_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::optional<ipc::Answer>> answers_;
  std::vector<std::size_t> order_;
};

// The module's worker; if there are several, the one that was started last. (A client whose calls killed workers is
// served by a worker of its own, beside the module's others.) Fails the test if there is none.
ipc::WorkerInfo worker_of(ipc::Client& client, const std::string& module);

// Waits for the end of a worker that a call of the module killed; false if it does not end. The killed worker is
// `before` or, if the function had killed a worker earlier, the extra worker that serves such calls alone: then one
// worker of the module remains.
bool killed_worker_is_gone(ipc::Client& client, const std::string& module, pid_t before);
std::vector<ipc::WorkerInfo> workers(ipc::Client& client);

// The supervisor's statistics of the module. Fails the test if the supervisor knows no module of this name, or several
// versions of it.
ipc::ModuleStats stats_of(ipc::Client& client, const std::string& module);

// Waits until the supervisor's list of workers meets the condition; false if that does not happen.
bool workers_become(ipc::Client& client, const std::function<bool(const std::vector<ipc::WorkerInfo>&)>& condition);

}  // namespace holdfast::test
