// faast.js in its local mode: a pool of Node.js processes, called from a Node.js process.
//
// Each cold call, and each resident module, needs its own faast(), which bundles the module with webpack and starts a
// process. That takes long, so fewer are measured than for other contenders. validateSerialization and the collection
// of old folders are off, which makes calls quicker. faast.js calls functions by their own names, which a bundler may
// have changed, so the module is wrapped in another one, whose functions have the names under which they are
// exported.
import { writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import { InProcessDriver } from './in_process.mjs';

export default class Faast extends InProcessDriver {
  notes = 'in-process calls from Node.js; local mode, a faast() for each module, validateSerialization off; '
    + '5 cold calls a round, 10 resident modules';
  coldCalls = 5;
  residentModules = 10;
  warmUpCalls = 500;

  async open(call, size) {
    const file = join(this.setting.folder, `faast-${call.fn}.cjs`);
    await writeFile(file, `const module_ = require(${JSON.stringify(call.file)});\n`
      + `exports.${call.fn} = function ${call.fn}(payload) { return module_.${call.fn}(payload); };\n`);
    // faast() finds the module's file through require.cache.
    const require = createRequire(join(this.setting.packages, 'faastjs/'));
    const { faast } = require('faastjs');
    const pool = await faast('local', require(file), { concurrency: size, gc: 'off', validateSerialization: false });
    return { run: ({ fn, payload }) => pool.functions[fn](payload), close: () => pool.cleanup() };
  }
}
