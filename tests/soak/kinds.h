// The kinds of calls that are made under chaos: what each asks, how its answer is known to be its own, and which errors
// are its own doing.
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

// What has been done to holdfastd's processes since all was quiet, as bits: which errors innocent calls may get.
enum Disturbance : unsigned {
  kNothing = 0,
  kProcessesDied = 1,    // killed or stopped
  kResourcesRanOut = 2,  // descriptors, processes or memory that holdfastd's own processes need
  kMachineStalled = 4,   // by what else runs on it
};

struct Kind {
  std::string name;
  std::string module;
  std::string function;
  double weight;  // how often it is called, against the others
  // Of a text that no other call has.
  std::function<std::string(const std::string& nonce, Random&)> payload;
  // Whether the result is the one for this payload. None: it never has a result.
  std::function<bool(const std::string& payload, const std::string& result)> is_right;
  // Errors that it may get though nothing disturbs.
  std::set<ipc::ErrorCode> own_errors = {};
  bool idempotent = false;
  bool worker_may_die = false;  // of its module's own doing, so that the call may be given to several
};

const std::vector<Kind>& kinds();
std::vector<test::Module> modules_of_kinds();

// A module that answers what it is asked, for measuring and probing.
extern const char* const kPlainModule;

// A call that was made, as far as its answer is to be judged by it.
struct MadeCall {
  const Kind& kind;
  const std::string& payload;
  const std::string& nonce;
  std::chrono::nanoseconds waited;
  bool was_cancelled;  // by the caller
};

// What is wrong with this answer, its usage included; empty if nothing is.
std::string fault_of(const MadeCall& call, const ipc::Answer& answer, unsigned disturbances);

}  // namespace holdfast::soak
