// Threads of node:worker_threads, called by postMessage from the main thread of a Node.js process.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';

import { InProcessDriver } from './in_process.mjs';
import { nodePool } from './node_pool.mjs';

export default class WorkerThreads extends InProcessDriver {
  notes = 'in-process calls from Node.js by postMessage; a pool of threads for each module';

  open(call, size) {
    return nodePool((onMessage) => {
      const worker = new Worker(join(import.meta.dirname, 'node_worker.cjs'), { argv: [call.file] });
      worker.on('message', onMessage);
      worker.on('error', (error) => { throw error; });
      return { post: (message) => worker.postMessage(message), close: () => worker.terminate() };
    }, size);
  }
}
