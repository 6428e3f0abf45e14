// Shared by the drivers of Holdfast and workerd: a server that keeps running for hot calls, and a fresh one for each
// slice of cold calls and of resident modules, with only what its first call needs loaded.
import { load } from '../programs.mjs';
import { memoryOf } from '../memory.mjs';

export class ServerDriver {
  coldCalls = 20;
  residentModules = 100;
  #server;

  // A subclass implements startServer(call, ids), which resolves to {pid, stop(), client, hot, cold}. `client` is the
  // load client, `hot` its arguments for calls of the module `call`, and `cold(ids)` its arguments for calls of
  // further modules with the same text, one for each id; the server knows all of these modules and has loaded none.
  // Without a call the server serves all.
  constructor(setting) {
    this.setting = setting;
  }

  async start() {
    this.#server = await this.startServer([]);
    for (const name of Object.keys(this.setting.calls)) await this.hot(name, 3000);
  }

  async hot(name, count) {
    const { client, hot } = this.#server;
    return (await load(client, [...hot(name), ...this.#answers(name), '--calls', count])).samples_ns;
  }

  rate(name, inFlight, seconds) {
    const { client, hot } = this.#server;
    return load(client, [...hot(name), ...this.#answers(name), '--in-flight', inFlight, '--seconds', seconds]);
  }

  cold(name, count) {
    return this.#withFreshServer(count, (ids, callEach) => callEach(name, ids));
  }

  resident(name, count) {
    return this.#withFreshServer(count, async (ids, callEach, server) => {
      const before = memoryOf(server.pid);
      await callEach(name, ids);
      const after = memoryOf(server.pid);
      return { bytes: after.bytes - before.bytes, kind: after.kind, samples: await callEach(name, ids) };
    });
  }

  stop() {
    return this.#server?.stop();
  }

  async #withFreshServer(count, use) {
    const ids = Array.from({ length: count }, (_, index) => `m${index}`);
    const server = await this.startServer([...ids, 'first']);
    const callEach = async (name, targets) =>
      (await load(server.client, [...server.cold(name, targets), ...this.#answers(name), '--calls', targets.length]))
        .samples_ns;
    try {
      await callEach('add', ['first']);
      return await use(ids, callEach, server);
    } finally {
      await server.stop();
    }
  }

  #answers(name) {
    const { payload, expected } = this.setting.calls[name];
    return ['--payload', JSON.stringify(payload), '--expect', JSON.stringify(expected)];
  }
}
