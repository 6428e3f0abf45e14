// Measurements with many calls at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "ipc/client.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

// Gives the next call to make, which must answer as `add` does; nullopt: no calls are left. Whatever the request
// views must outlive the measurement.
using NextCall = std::function<std::optional<ipc::CallRequest>()>;

// Gives the same call each time.
NextCall again(const ipc::CallRequest& request);

struct Load {
  std::size_t answered = 0;
  nanoseconds elapsed{0};  // from the first call to the last answer that is counted
  Samples latencies;       // of the counted answers
  Samples lateness;        // open loop only: from when each call was due to when it was sent
};

// Closed loop: keeps `in_flight` calls open on each client until `duration` is over and at least one call is
// answered, then waits for the other calls without counting them. One poll(2) loop in this thread serves all clients.
tl::expected<Load, Stop> closed_loop(const Context& context, const std::vector<ipc::Client*>& clients,
                                     unsigned in_flight, nanoseconds duration, const NextCall& next);

// Open loop: starts one call each `interval` until `duration` is over, whether or not earlier calls are answered,
// then waits for the answers. A latency counts from when its call was due, so that a stall shows in every call that
// came due during it, and not only in the call that was open.
tl::expected<Load, Stop> open_loop(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                   nanoseconds interval, nanoseconds duration);

// One of several closed loops that run alternately, in slices.
struct LoadSeries {
  Row row;
  std::vector<ipc::Client*> clients;
  unsigned in_flight;
  // The process whose CPU time for each call is reported as supervisor_cpu_ns; 0: none.
  pid_t supervisor = 0;
};

// The floors that alternate with the loads.
struct LoadFloors {
  std::vector<Series> series;
  unsigned samples;      // of each series, in all slices together
  unsigned warm_up = 0;  // of each series, before the first slice; not counted
};

// Runs each load for `duration` in all. Returns the rows with latencies and calls per second, then the floors' rows.
tl::expected<std::vector<Row>, Stop> measure_loads(const Context& context, const std::string& title,
                                                   const std::vector<LoadSeries>& series, nanoseconds duration,
                                                   const NextCall& next, const LoadFloors& floors);

// The duration of --seconds.
nanoseconds load_duration(const Context& context);

}  // namespace holdfast::cli::bench
