// The kinds of calls that the chaos form makes: what each kind sends, how to recognize the answer to a particular call,
// and which errors the kind itself may cause.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "ipc/client.h"
#include "tests/support/daemon.h"

namespace holdfast::soak {

using Random = std::mt19937_64;

// Bits: what has been done to holdfastd's processes since they were last quiet. They determine which errors innocent
// calls may get.
enum Disturbance : unsigned {
  kNothing = 0,
  kProcessesDied = 1,    // killed or stopped
  kResourcesRanOut = 2,  // descriptors, processes or memory that holdfastd's own processes need
  kMachineStalled = 4,   // by other programs on the machine
};

struct Kind {
  std::string name;
  std::string module;
  std::string function;
  double weight;  // how often it is called, relative to the other kinds
  // Makes the payload out of a text that no other call has.
  std::function<std::string(const std::string& nonce, Random&)> payload;
  // Whether the result belongs to this payload. Empty if calls of this kind never have a result.
  std::function<bool(const std::string& payload, const std::string& result)> is_right;
  // Errors that it may get although nothing disturbs the processes.
  std::set<ipc::ErrorCode> own_errors = {};
  bool idempotent = false;
  bool worker_may_die = false;  // killed by its own module, so the call may be given to several workers
};

const std::vector<Kind>& kinds();
std::vector<test::Module> modules_of_kinds();

// The name of a module that echoes its payload, for measurements and probes.
extern const char* const kPlainModule;

// What the check of an answer needs to know about the call.
struct MadeCall {
  const Kind& kind;
  const std::string& payload;
  const std::string& nonce;
  std::chrono::nanoseconds waited;
  bool was_cancelled;  // by its caller
};

// What is wrong with this answer or with the usage in it; empty if nothing is. `disturbances`: bits of Disturbance.
std::string fault_of(const MadeCall& call, const ipc::Answer& answer, unsigned disturbances);

}  // namespace holdfast::soak
