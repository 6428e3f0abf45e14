#include "tools/cli/bench/statistics.h"

#include <algorithm>
#include <cmath>

namespace holdfast::cli::bench {

nanoseconds percentile(const Samples& sorted, double percent) {
  const double rank = std::ceil(percent * static_cast<double>(sorted.size()) / 100);
  return sorted[std::clamp<std::size_t>(static_cast<std::size_t>(rank), 1, sorted.size()) - 1];
}

Summary summarize(Samples samples) {
  if (samples.empty()) return {};
  std::ranges::sort(samples);
  return {.count = samples.size(),
          .min = samples.front(),
          .p50 = percentile(samples, 50),
          .p90 = percentile(samples, 90),
          .p99 = percentile(samples, 99),
          .p999 = percentile(samples, 99.9),
          .max = samples.back()};
}

}  // namespace holdfast::cli::bench
