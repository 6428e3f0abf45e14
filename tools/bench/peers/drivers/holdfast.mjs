// Holdfast through holdfastd, called by the C++ client library (tools/bench/call_load.cc).
//
// The defaults: one process for each module, one standby, JIT. Cold calls follow one another at once, so the next may
// come before there is a standby again. Sources are read from files. Two settings differ from their defaults:
// --max-workers, because its default depends on the machine's memory and may be less than the number of resident
// modules, and --idle-timeout, so that a hot module stays hot while others are measured.
import { copyFile, mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';

import { Server } from '../programs.mjs';
import { ServerDriver } from './server.mjs';

export default class Holdfast extends ServerDriver {
  notes = 'C++ client, Unix socket; a locked process for each module; defaults (one standby, JIT)';

  async startServer(ids) {
    const { build, calls } = this.setting;
    const folder = await mkdtemp(join(this.setting.folder, 'holdfast-'));
    const modules = join(folder, 'modules');
    await mkdir(modules);
    const hot = Object.entries(calls).map(([name, { file }]) => [name, file]);
    const files = [...hot, ...ids.map((id) => [id, calls.add.file])];
    for (const [module, file] of files) await copyFile(file, join(modules, `${module}-v1.cjs`));

    const socket = join(folder, 'socket');
    const server = await Server.start(join(build, 'supervisor/holdfastd'),
      ['--socket', socket, '--modules', modules, '--worker', join(build, 'worker/holdfast-worker'),
        '--max-workers', files.length, '--idle-timeout', '1h', '--ready-fd', '3']);
    const each = (name, targets) => [socket, ...targets.map((target) => `${target}@v1`), '--function', calls[name].fn];
    return {
      pid: server.pid,
      stop: () => server.stop(),
      client: join(build, 'tools/bench/call_load'),
      hot: (name) => each(name, [name]),
      cold: each,
    };
  }
}
