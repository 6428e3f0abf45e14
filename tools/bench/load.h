// Shared by the load clients call_load and http_load: their options, the order of their calls, and their output.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::load {

using Clock = std::chrono::steady_clock;

struct LoadOptions {
  std::string address;               // the address to call
  std::vector<std::string> targets;  // what to call there, in turn; at least one
  std::string payload;               // the payload of each call
  std::string expected;              // the answer that each call must get, byte for byte
  std::size_t in_flight = 1;         // calls that are open at all times; at least 1
  // When to stop; exactly one of the two is set.
  std::optional<std::size_t> calls;  // the number of calls to begin
  std::optional<double> seconds;     // after this time no call is begun and no answer counted
};

// A program's help texts and its own options.
struct LoadProgram {
  std::string description;
  std::string address_help;
  std::string target_name;
  std::string target_help;
  // Further options: name, help and where the value goes. All are required.
  struct Option {
    std::string name;
    std::string help;
    std::string* value;
  };
  std::vector<Option> options;
};

class Load;

// Runs a load client: reads the command line, lets `make_calls` make the calls, and prints one line of JSON about
// them, {"calls":N,"seconds":S,"samples_ns":[...]}. Returns the program's exit code: 0; 1 if make_calls threw a
// std::exception, whose message it prints; or the code of CLI11 for a wrong command line.
int run(int argc, char** argv, const LoadProgram& program,
        const std::function<void(const LoadOptions&, Load&)>& make_calls);

// The calls of one run: which is next, and how long each took. Time counts from the first next().
class Load {
 public:
  explicit Load(const LoadOptions& options);

  // The index of the target to call next; nullopt: begin no further call.
  std::optional<std::size_t> next();

  // Records that the call begun at `begun` was answered now. Throws std::runtime_error if the answer is not the
  // expected one.
  void answered(Clock::time_point begun, std::string_view answer);

  std::string json() const;

 private:
  bool time_is_over(Clock::time_point now) const;

  const LoadOptions& options_;
  std::size_t begun_ = 0;
  std::vector<Clock::duration> samples_;
  Clock::time_point start_;
  Clock::time_point last_answer_;
};

}  // namespace holdfast::load
