// Samples of several series, calls and their floors, taken alternately, so that a disturbance of the machine affects
// all series alike.
#pragma once

#include <functional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

// Takes one sample and returns how long it took.
using Sampler = std::function<tl::expected<nanoseconds, Stop>()>;

struct Series {
  Row row;  // the row to which the samples' summary is added
  Sampler sample;
};

struct Turns {
  unsigned samples;      // of each series, in all rounds together
  unsigned rounds;       // each round takes one slice of every series' samples; cut to `samples`
  unsigned warm_up = 0;  // of each series, before the first round; not counted
};

struct Taken {
  Samples samples;  // in the order in which they were taken
  Samples medians;  // of each round
};

// Takes the samples and returns them for each series.
tl::expected<std::vector<Taken>, Stop> take_turns(const Context& context, const std::string& title,
                                                  const std::vector<Series>& series, const Turns& turns);

// Takes the samples and returns the series' rows with the samples' summaries.
tl::expected<std::vector<Row>, Stop> measure(const Context& context, const std::string& title,
                                             const std::vector<Series>& series, const Turns& turns);

// The floors under a call whose frames have these sizes: the same bytes through three processes (`key`: floor) and
// between two (floor_direct). Both rows get `parameters`.
tl::expected<std::vector<Series>, Stop> byte_floors(std::size_t request_bytes, std::size_t answer_bytes,
                                                    const std::vector<Value>& parameters = {});

// The floors under a call that needs a new process: a bare fork (floor_fork) and, if the options name a program for
// it, a fork with a call in V8 (floor_fork_v8).
tl::expected<std::vector<Series>, Stop> fork_floors(const Context& context);

}  // namespace holdfast::cli::bench
