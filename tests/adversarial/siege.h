// A daemon under attack, and the checks that nobody but the attacker notices: the supervisor and the zygote stay who
// they are and grow by nothing, a module beside the attacker keeps its process, and when all is over nothing is left.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "sandbox/process_state.h"
#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"

namespace holdfast::test {

// The number of a worker's own socket, which is the one descriptor that it has.
inline constexpr long kSocket = sandbox::kKeptDescriptor;

// A system call and its arguments, as the attacker's survey() and doCall() take them.
struct NativeCall {
  std::string json;
};

// What stands for an argument that is not a number.
struct NativeArgument {
  std::string json;
};
NativeArgument text(const std::string& text);  // the address of this text, with a zero behind it
// "memory": 64 kB that may be written to; "page": the shared page; "code", "engine": functions of the worker's program
// and of V8; "codePage", "enginePage": where their pages begin; "stack"; "sequences": what rseq(2)
// has registered.
NativeArgument at(const std::string& place, long offset = 0);
NativeArgument structure(const std::vector<NativeArgument>& words);  // the address of these 8-byte words
NativeArgument word(std::uint64_t number);

template <typename T>
NativeArgument to_argument(const T& value) {
  if constexpr (std::is_convertible_v<T, NativeArgument>) {
    return value;
  } else {
    return {"\"" + std::to_string(value) + "\""};
  }
}

template <typename... Arguments>
NativeCall native_call(long number, const Arguments&... arguments) {
  return {"[\"" + std::to_string(number) + "\"" + (std::string() + ... + ("," + to_argument(arguments).json)) + "]"};
}

// One of native_attacks.h's functions and its arguments, as the attacker's run() takes a list of them.
template <typename... Arguments>
std::string step(const std::string& name, const Arguments&... arguments) {
  return "[\"" + name + "\"" + (std::string() + ... + ("," + to_argument(arguments).json)) + "]";
}
std::string steps(const std::vector<std::string>& list);

// What became of a call that could not end its worker.
struct Outcome {
  bool refused = false;  // by the filter's signal
  long result = 0;       // what the call returned, or the number that the signal told of
  std::string to_string() const;
};

class Siege {
 public:
  // With further flags for holdfastd, and further modules.
  explicit Siege(std::vector<std::string> flags = {}, std::vector<Module> modules = {});

  Daemon& daemon() { return daemon_; }
  ipc::Client& client() { return client_; }

  // The process that has the module now; it is started if there is none.
  pid_t worker(const std::string& module = "attacker");

  // Makes each of these calls in one worker that survives a refusal, and checks that it did.
  std::vector<Outcome> survey(const std::vector<NativeCall>& calls);
  Outcome survey(const NativeCall& call) { return survey(std::vector{call}).front(); }

  // The call fails, and its worker is gone; what it failed with. The module's next call gets another worker.
  ipc::Error lose(CallTo to);
  // Each of these calls of the module "attacker", every one in a worker of its own, a few at a time. In their order.
  std::vector<ipc::Error> lose_each(const std::vector<CallTo>& calls);

  // The supervisor's resident memory, in bytes, now and at its most.
  std::uint64_t supervisor_memory() const;
  std::uint64_t supervisor_peak() const;

  // How many descriptors the supervisor has.
  std::size_t descriptors_of_supervisor();

  // All the checks that the top of this file speaks of. The supervisor may hold that much more memory than before.
  void end(std::uint64_t growth = std::uint64_t{16} << 20);

 private:
  Daemon daemon_;
  ipc::Client client_;
  pid_t bystander_;
  pid_t zygote_;
  std::size_t supervisor_descriptors_ = 0;
  std::uint64_t memory_before_ = 0;
  std::uint64_t zygote_memory_before_ = 0;
};

// RssAnon, RssFile, RssShmem and page tables of a process, in bytes; 0 if it is gone.
std::uint64_t resident_bytes(pid_t pid);

}  // namespace holdfast::test
