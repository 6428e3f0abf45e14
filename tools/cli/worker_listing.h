// A supervisor's worker processes as `holdfast` prints them.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ipc/client_messages.h"

namespace holdfast::cli {

// A table with a line for each worker and a column for each key of listing_as_json(). "-" marks what a worker does
// not have: a standby has no module, a starting worker no pid.
std::string listing_as_table(const std::vector<ipc::WorkerInfo>& workers);

// One line: an array of objects with the keys pid, module, version, state, calls (answered so far), calls_in_flight,
// cpu (in seconds, with a fraction), memory (in bytes) and age (in seconds).
std::string listing_as_json(const std::vector<ipc::WorkerInfo>& workers);

// For people: "250ms", "42s", "3m12s", "5h07m", "2d03h".
std::string format_age(std::chrono::nanoseconds age);

}  // namespace holdfast::cli
