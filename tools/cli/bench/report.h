// What `holdfast bench` found, and how it is shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/cli/bench/statistics.h"

namespace holdfast::cli::bench {

// Figures mean nothing without it.
struct Machine {
  std::string cpu;
  unsigned cores = 0;  // that this process may use
  std::string kernel;
};

Machine this_machine();

struct Round {
  nanoseconds floor_p50{0};
  nanoseconds hot_p50{0};
};

struct Rate {
  unsigned in_flight = 0;
  std::size_t calls = 0;
  nanoseconds elapsed{0};
  double calls_per_second() const;
};

struct Report {
  Machine machine;
  std::string client_version;
  std::string supervisor_version;
  std::size_t request_bytes = 0;  // one call's frame; the floor moves as many
  std::size_t answer_bytes = 0;
  Summary floor;
  Summary hot;
  std::vector<Round> rounds;
  // Nothing where a running supervisor was measured: there are no modules to load.
  std::optional<Summary> cold_with_standby;
  std::optional<Summary> cold_without_standby;
  std::vector<Rate> rates;

  // How many times the floor's median a hot call takes: the figure that carries over to other machines.
  double hot_to_floor() const;
};

// For people, in many lines.
std::string report_as_table(const Report& report);

// One line: an object with every figure; durations are whole nanoseconds, their keys end in _ns.
std::string report_as_json(const Report& report);

}  // namespace holdfast::cli::bench
