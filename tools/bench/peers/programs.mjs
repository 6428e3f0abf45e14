// Programs that drivers run: servers, which stay, and load clients, which print what they measured.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const STOP_MS = 10_000;
const LOAD_MS = 60_000;

// Whether the stream has at least `lines` lines before it ends.
async function writesLines(stream, lines) {
  let left = lines;
  for await (const text of stream.setEncoding('utf8')) {
    left -= text.split('\n').length - 1;
    if (left <= 0) return true;
  }
  return false;
}

// A program that runs until it is stopped. Its standard error is kept, to explain an early end.
export class Server {
  #child;
  #errors = '';

  // Starts the program in the folder `cwd`, and waits until it has written `lines` lines to descriptor 3.
  static async start(command, args, { cwd, lines = 1 } = {}) {
    const server = new Server();
    const child = spawn(command, args.map(String), { cwd, stdio: ['ignore', 'ignore', 'pipe', 'pipe'] });
    server.#child = child;
    child.stderr.setEncoding('utf8').on('data', (text) => { server.#errors = (server.#errors + text).slice(-4000); });
    const ended = once(child, 'exit');
    const ready = await Promise.race([writesLines(child.stdio[3], lines), ended.then(() => false)]);
    if (!ready) throw new Error(`${command} ended before it was ready:\n${server.#errors}`);
    return server;
  }

  get pid() { return this.#child.pid; }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.kill();
    const late = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await ended;
    clearTimeout(late);
  }
}

// Runs a load client (tools/bench/load.h) and returns its output: {calls, seconds, samples_ns}.
export async function load(program, args) {
  try {
    const { stdout } = await promisify(execFile)(program, args.map(String), { maxBuffer: 1 << 28, timeout: LOAD_MS });
    return JSON.parse(stdout);
  } catch (error) {
    throw new Error(`${program} failed: ${error.stderr || error.message}`);
  }
}
