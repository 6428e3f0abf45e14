// Exact figures from raw samples, without buckets or smoothing.
#pragma once

#include <chrono>
#include <cstddef>
#include <vector>

namespace holdfast::cli::bench {

using std::chrono::nanoseconds;
using Samples = std::vector<nanoseconds>;

struct Summary {
  std::size_t count = 0;
  nanoseconds min{0};
  nanoseconds p50{0};
  nanoseconds p90{0};
  nanoseconds p99{0};
  nanoseconds p999{0};
  nanoseconds max{0};
};

// The smallest sample that at least `percent` of all samples do not exceed (nearest rank). `sorted` is ascending and
// not empty; `percent` is above 0 and at most 100.
nanoseconds percentile(const Samples& sorted, double percent);

// All zero if there are no samples.
Summary summarize(Samples samples);

}  // namespace holdfast::cli::bench
