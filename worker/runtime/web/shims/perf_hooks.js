// node:perf_hooks: only fetching over a network would time anything.
module.exports = { performance: { now: () => 0 } };
