// Many calls at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "ipc/client.h"
#include "tools/cli/bench/series.h"
#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

// The next call to make, which must answer as `add` does; nothing: there is none left. What it views must stay.
using NextCall = std::function<std::optional<ipc::CallRequest>()>;

// Always this one.
NextCall again(const ipc::CallRequest& request);

struct Load {
  std::size_t answered = 0;
  nanoseconds elapsed{0};  // from the first call to the last answer that is counted
  Samples latencies;       // of these answers
  Samples lateness;        // of an open loop: from when each call was to be sent to when it was
};

// Closed loop: keeps `in_flight` calls open on each of the clients until `duration` is over and one call is answered,
// then lets the others end uncounted. Several clients are served by one poll(2) loop in this thread.
tl::expected<Load, Stop> closed_loop(const Context& context, const std::vector<ipc::Client*>& clients,
                                     unsigned in_flight, nanoseconds duration, const NextCall& next);

// Open loop: one call each `interval`, whether or not those before are answered, until `duration` is over; then waits
// for the answers. A latency counts from when its call was to be sent, so that a stall is paid for by every call that
// came due in it, and not only by the one that was open.
tl::expected<Load, Stop> open_loop(const Context& context, ipc::Client& client, const ipc::CallRequest& request,
                                   nanoseconds interval, nanoseconds duration);

// A closed loop as a part of several that take turns, in slices.
struct LoadSeries {
  Row row;
  std::vector<ipc::Client*> clients;
  unsigned in_flight;
  // Whose CPU time for each call is told, too, as supervisor_cpu_ns; 0: nobody's.
  pid_t supervisor = 0;
};

// The floors that take turns with them.
struct LoadFloors {
  std::vector<Series> series;
  unsigned samples;      // of each, in all slices
  unsigned warm_up = 0;  // of each, before the first slice, and not counted
};

// Each for `duration` in all; the rows with latencies and calls per second, then those of the floors.
tl::expected<std::vector<Row>, Stop> measure_loads(const Context& context, const std::string& title,
                                                   const std::vector<LoadSeries>& series, nanoseconds duration,
                                                   const NextCall& next, const LoadFloors& floors);

// The options' --seconds.
nanoseconds load_duration(const Context& context);

}  // namespace holdfast::cli::bench
