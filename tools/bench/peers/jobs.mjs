// The measurements. Each job is one slice of a round: it asks a contender's driver for figures, which a report shows.
import { summarize } from './statistics.mjs';

const HOT_CALLS = 1500;
const RATE_SECONDS = 0.5;
export const IN_FLIGHT = 16;

const hot = (call) => async (driver) => summarize(await driver.hot(call, HOT_CALLS));

const rate = (call) => async (driver) => {
  const { calls, seconds } = await driver.rate(call, IN_FLIGHT, RATE_SECONDS);
  return { rate: calls / seconds };
};

// A job's `run` returns an object with a number for each of its figures; `unit` is ns, bytes or calls/s. A job with
// `rounds` runs only in that many rounds.
const latencies = [{ name: 'p50', unit: 'ns' }, { name: 'p99', unit: 'ns' }];
const rates = [{ name: 'rate', unit: 'calls/s' }];

export const jobs = {
  'add-hot': { title: 'add, one call at a time', figures: latencies, run: hot('add') },
  'add-rate': { title: `add, ${IN_FLIGHT} calls in flight`, figures: rates, run: rate('add') },
  'add-cold': {
    title: 'add, first call of a module (p99: the slowest of a round)',
    figures: latencies,
    run: async (driver) => summarize(await driver.cold('add', driver.coldCalls)),
  },
  'render-hot': { title: 'a page rendered by mustache, one call at a time', figures: latencies, run: hot('render') },
  'render-rate': { title: `a page rendered by mustache, ${IN_FLIGHT} calls in flight`, figures: rates, run: rate('render') },
  resident: {
    title: '100 modules at once: memory of each, then one more call to each',
    figures: [{ name: 'memory', unit: 'bytes' }, { name: 'call', unit: 'ns' }],
    rounds: 2, // starting hundreds of threads and processes takes long, and their memory hardly varies
    run: async (driver) => {
      const { bytes, kind, samples } = await driver.resident('add', driver.residentModules);
      const total = samples.reduce((sum, sample) => sum + sample, 0);
      return { memory: bytes / driver.residentModules, kind, call: total / samples.length };
    },
  },
};
