// Processes of node:child_process, forked by a Node.js process and called over their IPC channel. The channel uses
// JSON, its default, which is quicker for small messages than its other serialization.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

import { InProcessDriver } from './in_process.mjs';
import { nodePool } from './node_pool.mjs';

export default class ChildProcess extends InProcessDriver {
  notes = 'in-process calls from Node.js over IPC; a pool of Node.js processes for each module';

  open(call, size) {
    return nodePool((onMessage) => {
      const child = fork(join(import.meta.dirname, 'node_worker.cjs'), [call.file]);
      const ended = once(child, 'exit');
      child.on('message', onMessage);
      const close = async () => {
        child.kill('SIGKILL');
        await ended;
      };
      return { post: (message) => child.send(message), close };
    }, size);
  }
}
