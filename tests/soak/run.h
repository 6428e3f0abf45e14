// What every form of the soak test is given.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/soak/report.h"

namespace holdfast::soak {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The supervisor's own limit for a call (kCallTimeout in chaos.cc) and what a busy machine may add. A call that has no
// answer by then has been lost.
constexpr std::chrono::seconds kLongestWait{30};

struct Run {
  Report& report;
  std::uint64_t seed = 0;
  Clock::duration duration{0};
  bool as_nobody = false;
};

// Whether SIGINT or SIGTERM asked for an early end.
bool is_interrupted();

// Sleeps, but not past an interruption; false if there was one.
bool pause_for(Clock::duration time);

// A line of progress in the place of the last one, if standard error is a terminal; else nothing.
void show_progress(const std::string& line);

double in_millis(Clock::duration time);

}  // namespace holdfast::soak
