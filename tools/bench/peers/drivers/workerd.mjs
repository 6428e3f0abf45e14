// workerd, called over HTTP/1.1 with persistent connections (tools/bench/http_load.cc).
//
// It uses a Unix socket, which is quicker than TCP. A module for hot calls is a worker of its own with its own
// socket. Further modules are isolates that a worker loader (--experimental) makes from text in memory; their
// requests pass through the worker with the loader. workerd runs as it ships, as one process with one thread and
// without a sandbox.
import { copyFile, mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { Server } from '../programs.mjs';
import { ServerDriver } from './server.mjs';

const config = (names) => `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    ${names.map((name) => `(name = "${name}", worker = (
      modules = [(name = "main.js", esModule = embed "main.js"), (name = "module.cjs", commonJsModule = embed "${name}.cjs")],
      compatibilityDate = "2026-01-01")),`).join('\n    ')}
    (name = "loader", worker = (
      modules = [(name = "loader.js", esModule = embed "loader.js")],
      bindings = [
        (name = "LOADER", workerLoader = ()), (name = "MAIN", text = embed "main.js"),
        (name = "MODULE", text = embed "add.cjs")],
      compatibilityDate = "2026-01-01"))],
  sockets = [${[...names, 'loader'].map((name) =>
    `(name = "${name}", address = "unix:${name}.sock", http = (), service = "${name}")`).join(', ')}]);
`;

export default class Workerd extends ServerDriver {
  notes = 'C++ client, HTTP/1.1 keep-alive over a Unix socket; further modules by the worker loader; one thread, no sandbox';

  // The loader makes an isolate for any id, so no id needs to be known in advance.
  async startServer() {
    const { build, calls, packages } = this.setting;
    const folder = await mkdtemp(join(this.setting.folder, 'workerd-'));
    const own = join(import.meta.dirname, '../modules');
    await copyFile(join(own, 'workerd_main.js'), join(folder, 'main.js'));
    await copyFile(join(own, 'workerd_loader.js'), join(folder, 'loader.js'));
    for (const [name, { file }] of Object.entries(calls)) await copyFile(file, join(folder, `${name}.cjs`));
    const names = Object.keys(calls);
    await writeFile(join(folder, 'config.capnp'), config(names));

    const program = join(packages, '@cloudflare', { x64: 'workerd-linux-64', arm64: 'workerd-linux-arm64' }[process.arch],
      'bin/workerd');
    const server = await Server.start(program,
      ['serve', '--experimental', '--control-fd=3', join(folder, 'config.capnp')], { cwd: folder, lines: names.length + 1 });
    return {
      pid: server.pid,
      stop: () => server.stop(),
      client: join(build, 'tools/bench/http_load'),
      hot: (name) => [join(folder, `${name}.sock`), `/${calls[name].fn}`],
      cold: (name, ids) => [join(folder, 'loader.sock'), ...ids.map((id) => `/${id}/${calls[name].fn}`)],
    };
  }
}
