// Samples of several things that take turns, so that what disturbs the machine for a while disturbs all alike: calls,
// and the floors beside which they are shown.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tl/expected.hpp>

#include "tools/cli/bench/suite.h"

namespace holdfast::cli::bench {

// Does once what is measured, and says how long it took.
using Sampler = std::function<tl::expected<nanoseconds, Stop>()>;

struct Series {
  Row row;  // that the samples' summary is to become part of
  Sampler sample;
};

struct Turns {
  unsigned samples;      // of each series, in all rounds
  unsigned rounds;       // in each of which every series has one turn; more than there are samples is as many
  unsigned warm_up = 0;  // of each series, before the first round, and not counted
};

struct Taken {
  Samples samples;  // in the order in which they were taken
  Samples medians;  // of each round
};

// What was taken of each series.
tl::expected<std::vector<Taken>, Stop> take_turns(const Context& context, const std::string& title,
                                                  const std::vector<Series>& series, const Turns& turns);

// The same as the series' rows, with summaries of the samples.
tl::expected<std::vector<Row>, Stop> measure(const Context& context, const std::string& title,
                                             const std::vector<Series>& series, const Turns& turns);

// Floors under a call whose frames have these sizes: the same bytes through three processes (`key`: floor), and between
// two (floor_direct), each with these parameters.
tl::expected<std::vector<Series>, Stop> byte_floors(std::size_t request_bytes, std::size_t answer_bytes,
                                                    const std::vector<Value>& parameters = {});

// Floors under a call that takes a new process: a bare fork (floor_fork), and, if the options name a program for it,
// one with a call in V8 (floor_fork_v8).
tl::expected<std::vector<Series>, Stop> fork_floors(const Context& context);

}  // namespace holdfast::cli::bench
