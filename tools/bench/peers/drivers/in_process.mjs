// Shared by the drivers that are called from the same Node.js process: pools of threads or processes, one for each
// module. Makes and times the calls.
import { availableParallelism } from 'node:os';

import { check } from '../calls.mjs';
import { memoryOf } from '../memory.mjs';

const WARM_UP_CALLS = 2000;
const TRIAL_SECONDS = 0.3;

const now = () => Number(process.hrtime.bigint());

export class InProcessDriver {
  coldCalls = 20;
  residentModules = 100;
  warmUpCalls = WARM_UP_CALLS;
  #single = {}; // a pool of size one for each call
  #many = {};   // a pool of the size that was quicker with many open calls

  // A subclass implements open(call, size, inFlight), which resolves to {run(call), close()}: a pool of `size`
  // threads or processes with the call's module. run() makes a call and resolves to its answer.
  constructor(setting) {
    this.setting = setting;
  }

  async start() {
    for (const [name, call] of Object.entries(this.setting.calls)) {
      this.#single[name] = await this.open(call, 1, 1);
      await this.hot(name, this.warmUpCalls);
      this.#many[name] = await this.#quickest(call, 16);
    }
    const sizes = Object.entries(this.#many).map(([name, { size }]) => `${name} ${size}`).join(', ');
    this.notes += `; pools of the size that was quicker with many calls in flight (${sizes}), else of one`;
  }

  async hot(name, count) {
    const samples = [];
    for (let i = 0; i < count; ++i) samples.push(await this.#timed(this.#single[name], this.setting.calls[name]));
    return samples;
  }

  rate(name, inFlight, seconds) {
    return this.#rateOf(this.#many[name].pool, this.setting.calls[name], inFlight, seconds);
  }

  async cold(name, count) {
    const call = this.setting.calls[name];
    const samples = [];
    for (let i = 0; i < count; ++i) {
      const begun = now();
      const pool = await this.open(call, 1, 1);
      check(call, await pool.run(call));
      samples.push(now() - begun);
      await pool.close();
    }
    return samples;
  }

  async resident(name, count) {
    const call = this.setting.calls[name];
    const pools = [];
    try {
      const before = memoryOf(process.pid);
      for (let i = 0; i < count; ++i) {
        pools.push(await this.open(call, 1, 1));
        await this.#timed(pools.at(-1), call);
      }
      const after = memoryOf(process.pid);
      const samples = [];
      for (const pool of pools) samples.push(await this.#timed(pool, call));
      return { bytes: after.bytes - before.bytes, kind: after.kind, samples };
    } finally {
      await Promise.all(pools.map((pool) => pool.close()));
    }
  }

  async stop() {
    const pools = [...Object.values(this.#single), ...Object.values(this.#many).map(({ pool }) => pool)];
    await Promise.all(pools.map((pool) => pool.close()));
  }

  async #timed(pool, call) {
    const begun = now();
    const answer = await pool.run(call);
    const ended = now();
    check(call, answer);
    return ended - begun;
  }

  // Answers that come after the time is over do not count.
  async #rateOf(pool, call, inFlight, seconds) {
    const begun = performance.now();
    const end = begun + seconds * 1000;
    let calls = 0;
    let last = begun;
    const callOn = async () => {
      for (;;) {
        check(call, await pool.run(call));
        const answered = performance.now();
        if (answered >= end) return;
        ++calls;
        last = answered;
      }
    };
    await Promise.all(Array.from({ length: inFlight }, callOn));
    return { calls, seconds: (last - begun) / 1000 };
  }

  async #quickest(call, inFlight) {
    let best;
    for (const size of new Set([1, availableParallelism()])) {
      const pool = await this.open(call, size, inFlight);
      await this.#rateOf(pool, call, inFlight, TRIAL_SECONDS); // warms up
      const { calls, seconds } = await this.#rateOf(pool, call, inFlight, TRIAL_SECONDS);
      const candidate = { pool, size, rate: calls / seconds };
      const [better, worse] = best === undefined || candidate.rate > best.rate ? [candidate, best] : [best, candidate];
      best = better;
      await worse?.pool.close();
    }
    return best;
  }
}
