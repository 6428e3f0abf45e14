// piscina: a pool of worker threads in a Node.js process, called from its main thread.
//
// A thread takes as many tasks at a time as there are calls in flight, which was quicker than one. `atomics` keeps
// its default 'sync', which was the quickest. Idle threads never end. Several modules could share the threads of one
// pool, but would then share their globals, so each module has its own pool.
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { InProcessDriver } from './in_process.mjs';

export default class Piscina extends InProcessDriver {
  notes = 'in-process calls from Node.js; a pool of threads for each module, concurrentTasksPerWorker = calls in flight';

  open(call, size, inFlight) {
    const { Piscina } = createRequire(join(this.setting.packages, 'piscina/'))('piscina');
    const pool = new Piscina({
      filename: call.file, minThreads: size, maxThreads: size, concurrentTasksPerWorker: inFlight, idleTimeout: Infinity,
    });
    return { run: ({ fn, payload }) => pool.run(payload, { name: fn }), close: () => pool.destroy() };
  }
}
