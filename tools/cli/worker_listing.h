// What a user sees of a supervisor's worker processes.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ipc/client_messages.h"

namespace holdfast::cli {

// A table with a line for each worker; its columns are the keys of listing_as_json(). "-" stands for what a worker does
// not have: a standby no module, one that is starting no pid.
std::string listing_as_table(const std::vector<ipc::WorkerInfo>& workers);

// One line: an array of objects with the keys pid, module, version, state, calls (answered so far), calls_in_flight,
// cpu (seconds, with a fraction), memory (bytes) and age (seconds).
std::string listing_as_json(const std::vector<ipc::WorkerInfo>& workers);

// For people: "250ms", "42s", "3m12s", "5h07m", "2d03h".
std::string format_age(std::chrono::nanoseconds age);

}  // namespace holdfast::cli
