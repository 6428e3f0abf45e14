// A daemon under attack, and checks that only the attacker is affected: the supervisor and the zygote stay the same
// processes and do not grow, a module beside the attacker keeps its process, and nothing is left at the end.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "sandbox/process_state.h"
#include "tests/adversarial/attacker.h"
#include "tests/support/calls.h"

namespace holdfast::test {

// The number of a worker's socket, its only descriptor.
inline constexpr long kSocket = sandbox::kKeptDescriptor;

// A system call and its arguments, in the form that the attacker's survey() and doCall() take.
struct NativeCall {
  std::string json;
};

// An argument that is not a plain number.
struct NativeArgument {
  std::string json;
};
NativeArgument text(const std::string& text);  // the address of this text, with a terminating zero
// An address. "memory": 64 kB of writable memory; "page": the shared page; "code", "engine": functions of the worker's
// program and of V8; "codePage", "enginePage": the beginnings of their pages; "stack"; "sequences": the structure that
// is registered with rseq(2).
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

// One of native_attacks.h's functions and its arguments, in the form of the list that the attacker's run() takes.
template <typename... Arguments>
std::string step(const std::string& name, const Arguments&... arguments) {
  return "[\"" + name + "\"" + (std::string() + ... + ("," + to_argument(arguments).json)) + "]";
}
std::string steps(const std::vector<std::string>& list);

// The outcome of a call whose refusal did not end its worker.
struct Outcome {
  bool refused = false;  // by the signal of the seccomp filter
  long result = 0;       // what the call returned, or the call's number in the signal
  std::string to_string() const;
};

class Siege {
 public:
  // `flags` and `modules` are added to the daemon's own.
  explicit Siege(std::vector<std::string> flags = {}, std::vector<Module> modules = {});

  Daemon& daemon() { return daemon_; }
  ipc::Client& client() { return client_; }

  // The module's process, which is started if there is none.
  pid_t worker(const std::string& module = "attacker");

  // Makes each of these calls in one worker that survives refusals, and checks that it is still running afterwards.
  std::vector<Outcome> survey(const std::vector<NativeCall>& calls);
  Outcome survey(const NativeCall& call) { return survey(std::vector{call}).front(); }

  // Makes a call that has to fail and to end its worker, and returns its error. The module's next call gets another
  // worker.
  ipc::Error lose(CallTo to);
  // Makes each of these calls of the module "attacker" in a worker of its own, a few at a time, and returns the errors
  // in the order of the calls.
  std::vector<ipc::Error> lose_each(const std::vector<CallTo>& calls);

  // The supervisor's resident memory and its peak, in bytes.
  std::uint64_t supervisor_memory() const;
  std::uint64_t supervisor_peak() const;

  // How many descriptors the supervisor has.
  std::size_t descriptors_of_supervisor();

  // Makes all the checks that the head of this file lists. The supervisor may use up to `growth` more bytes than
  // before.
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
