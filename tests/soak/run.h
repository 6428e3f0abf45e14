// The arguments and helpers of every form of the soak test.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "tests/soak/report.h"

namespace holdfast::soak {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The supervisor's limit for a call (--timeout in chaos.cc), and a margin for a busy machine. A call without an answer
// after this time has been lost.
constexpr std::chrono::seconds kLongestWait{30};

struct Run {
  Report& report;
  std::uint64_t seed = 0;
  Clock::duration duration{0};
  bool as_nobody = false;
};

// Whether SIGINT or SIGTERM asked for an early end.
bool is_interrupted();

// Sleeps for `time`, or until an interruption; false if there was one.
bool pause_for(Clock::duration time);

// If standard error is a terminal, replaces the last line of progress; else prints nothing.
void show_progress(const std::string& line);

double in_millis(Clock::duration time);

}  // namespace holdfast::soak
