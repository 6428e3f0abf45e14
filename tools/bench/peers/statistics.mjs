// Exact figures from raw samples, as in tools/cli/bench/statistics.h.

// The smallest value that at least `percent` of all values do not exceed (nearest rank). `sorted` is ascending and not
// empty.
export function percentile(sorted, percent) {
  return sorted[Math.max(Math.ceil((percent * sorted.length) / 100), 1) - 1];
}

// The median of an array that is not empty; with an even number of values, the mean of the two in the middle.
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export function summarize(samples) {
  const sorted = [...samples].sort((a, b) => a - b);
  return { count: sorted.length, p50: percentile(sorted, 50), p99: percentile(sorted, 99) };
}

// Compares `values` with `base` round by round, because a disturbance of the machine in one round affects both. Both
// are arrays with one number for each round. Returns the median of the rounds' ratios, and the least and the
// greatest.
export function ratio(values, base) {
  const ratios = values.map((value, round) => value / base[round]);
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}
