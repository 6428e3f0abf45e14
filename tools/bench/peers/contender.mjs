// A contender as compare.mjs sees it: a process that runs its driver (host.mjs), and the processes that the driver
// starts.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const ACTION_MS = 120_000;
const STOP_MS = 15_000;

export class Contender {
  #host;
  #ended;
  #busy = false;

  // Names of drivers, in the order of reports.
  static names = ['holdfast', 'workerd', 'piscina', 'worker_threads', 'child_process', 'faast'];

  // Starts the process. `setting` is {folder, build, packages, calls}: the run's folder for temporary files, the
  // build folder, the npm packages, and the calls of calls.mjs.
  constructor(name, setting) {
    this.name = name;
    this.setting = setting;
    // A process group of its own: all that is left of it can be ended without searching for it, and Ctrl-C on a
    // terminal reaches only compare.mjs, which ends the others in good order.
    this.#host = fork(join(import.meta.dirname, 'host.mjs'), [name], {
      detached: true,
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, TMPDIR: setting.folder },
    });
    this.#ended = once(this.#host, 'exit');
  }

  // Resolves to the driver's notes on its configuration.
  start() {
    return this.#ask({ action: 'start', setting: this.setting });
  }

  // Resolves to the job's figures.
  run(job) {
    return this.#ask({ action: 'run', job });
  }

  // Kills the process and all that it started.
  async stop() {
    const late = setTimeout(() => this.#kill('SIGKILL'), STOP_MS);
    if (this.#busy) this.#kill('SIGTERM');
    else await this.#ask({ action: 'stop' }).catch(() => {});
    if (this.#host.connected) this.#host.disconnect();
    await this.#ended;
    clearTimeout(late);
    this.#kill('SIGKILL');
  }

  async #ask(message) {
    this.#busy = true;
    const limit = new AbortController();
    const late = setTimeout(() => limit.abort(), ACTION_MS);
    const ended = this.#ended.then(() => { throw new Error(`${this.name} ended early`); });
    try {
      if (!this.#host.connected) await ended;
      this.#host.send(message);
      const [answer] = await Promise.race([once(this.#host, 'message', { signal: limit.signal }), ended]);
      this.#busy = false;
      if (answer.error !== undefined) throw new Error(`${this.name}: ${answer.error}`);
      return answer.value;
    } catch (error) {
      if (limit.signal.aborted) throw new Error(`${this.name} did not answer within ${ACTION_MS / 1000} s`);
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  #kill(signal) {
    try {
      process.kill(-this.#host.pid, signal);
    } catch (error) {
      if (error.code !== 'ESRCH') throw error;
    }
  }
}
