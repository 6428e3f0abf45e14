// The measurements of `holdfast bench`, each against a supervisor that is connected already. All use
// std::chrono::steady_clock, one sample for each call, and warm up on calls that are not counted.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "ipc/module_name.h"
#include "ipc/client.h"
#include "tools/cli/bench/floor.h"
#include "tools/cli/bench/report.h"
#include "tools/cli/signal_watch.h"
#include "tools/cli/file_module.h"

namespace holdfast::cli::bench {

// Why a measurement came to no end: the program's exit code and, unless a signal ended it, what went wrong. Calls may
// still be open then, so the client must not be used again.
struct Stop {
  int exit_code;
  std::string message;
};

// What every measurement needs of its program. Measured is one call, {"a":1,"b":2} to `add`, which must answer 3.
struct Bench {
  SignalWatch& signals;
  std::function<void(const std::string&)> progress;  // told what comes next, never while time is taken
};

// The bytes that one call and its answer take in frames between client and supervisor.
struct CallBytes {
  std::size_t request;
  std::size_t answer;
};
CallBytes call_bytes(const ipc::ModuleName& target);

struct HotSamples {
  std::vector<nanoseconds> floor;
  std::vector<nanoseconds> hot;
  std::vector<Round> rounds;
};

// Calls made one after the other, in `rounds` rounds of as many round trips of the floor and then of calls, `calls` in
// all of each: what disturbs the machine for a while disturbs both.
tl::expected<HotSamples, Stop> measure_hot(Bench& bench, ipc::Client& client, Floor& floor,
                                           const ipc::ModuleName& target, unsigned calls, unsigned rounds);

enum class Standby { awaited, none };

// The first call of each of the modules, none of which may have a worker. With Standby::awaited, each is made once
// the supervisor lists a standby.
tl::expected<std::vector<nanoseconds>, Stop> measure_cold(Bench& bench, ipc::Client& client,
                                                          const std::vector<ipc::ModuleName>& modules, Standby standby);

// For each of `in_flight`: calls answered within `duration` when so many are open at all times. Measured in slices that
// take turns, as above.
tl::expected<std::vector<Rate>, Stop> measure_rates(Bench& bench, ipc::Client& client, const ipc::ModuleName& target,
                                                    const std::vector<unsigned>& in_flight, nanoseconds duration);

}  // namespace holdfast::cli::bench
