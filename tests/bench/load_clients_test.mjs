// call_load and http_load, with a holdfastd and an HTTP server that the test starts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import os from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Server, load } from '../../tools/bench/peers/programs.mjs';

const {
  HOLDFAST_TEST_SUPERVISOR: supervisor, HOLDFAST_TEST_WORKER: worker, HOLDFAST_TEST_CALL_LOAD: callLoad,
  HOLDFAST_TEST_HTTP_LOAD: httpLoad,
} = process.env;
assert.ok(supervisor && worker && callLoad && httpLoad, 'run the tests by `meson test`');

let folder;
let daemon;
let server;
let requests;    // the server's, by path
let connections; // connections that the server accepted

const answer = {
  '/double': (body) => [200, String(JSON.parse(body) * 2)],
  '/also': (body) => [200, String(JSON.parse(body) * 2)],
  '/wrong': () => [200, '"wrong"'],
  '/failing': () => [500, 'out of order'],
};

before(async () => {
  folder = await mkdtemp(join(os.tmpdir(), 'holdfast-bench-'));
  for (const name of ['one', 'two']) {
    await writeFile(join(folder, `${name}-v1.js`), `let calls = 0;
      exports.double = async (number) => number * 2;
      exports.atMostThreeTimes = async () => { if (++calls > 3) throw new Error('once too often'); };`);
  }
  daemon = await Server.start(supervisor,
    ['--socket', join(folder, 'socket'), '--modules', folder, '--worker', worker, '--ready-fd', 3]);
  server = http.createServer(async (request, response) => {
    let body = '';
    for await (const text of request.setEncoding('utf8')) body += text;
    requests[request.url] = (requests[request.url] ?? 0) + 1;
    if (request.url === '/closing') return request.socket.destroy();
    const [status, text] = answer[request.url](body);
    response.writeHead(status, { 'content-length': Buffer.byteLength(text) }).end(text);
  });
  server.on('connection', () => { ++connections; });
  await once(server.listen(join(folder, 'http')), 'listening');
});

after(async () => {
  server.close();
  server.closeAllConnections();
  await daemon.stop();
  await rm(folder, { recursive: true });
});

const call = (modules, ...more) =>
  load(callLoad, [join(folder, 'socket'), ...modules, '--payload', '21', '--expect', '42', ...more]);
const post = (paths, ...more) => {
  requests = {};
  connections = 0;
  return load(httpLoad, [join(folder, 'http'), ...paths, '--payload', '21', '--expect', '42', ...more]);
};

test('call_load makes as many calls as it is told, and has a sample of each', async () => {
  const result = await call(['one@v1'], '--function', 'double', '--calls', 50, '--in-flight', 8);
  assert.equal(result.calls, 50);
  assert.equal(result.samples_ns.length, 50);
  assert.ok(result.samples_ns.every((sample) => sample > 0));
});

test('call_load calls its modules in turn', async () => {
  const result = await load(callLoad, [join(folder, 'socket'), 'one@v1', 'two@v1', '--function', 'atMostThreeTimes',
    '--payload', '0', '--expect', 'null', '--calls', 6]);
  assert.equal(result.calls, 6);
});

test('call_load counts no answer that comes when its time is over', async () => {
  const result = await call(['one@v1'], '--function', 'double', '--seconds', 0.2, '--in-flight', 4);
  assert.ok(result.calls > 0);
  assert.ok(result.seconds < 0.2);
});

test('call_load fails where a call does, and says why', async () => {
  await assert.rejects(call(['one@v1', 'three@v1'], '--function', 'double', '--calls', 2), /there is no module three@v1/);
  await assert.rejects(call(['one'], '--function', 'double', '--calls', 1), /"one" does not name a module/);
});

test('call_load fails where an answer is not the expected one', async () => {
  await assert.rejects(load(callLoad, [join(folder, 'socket'), 'one@v1', '--function', 'double', '--payload', '21',
    '--expect', '43', '--calls', 2]), /the answer was 42, expected 43/);
});

test('http_load posts to its paths in turn, over connections that it keeps', async () => {
  const result = await post(['/double', '/also'], '--calls', 60, '--in-flight', 6);
  assert.equal(result.calls, 60);
  assert.equal(result.samples_ns.length, 60);
  assert.deepEqual(requests, { '/double': 30, '/also': 30 });
  assert.equal(connections, 6);
});

test('http_load counts no answer that comes when its time is over', async () => {
  const result = await post(['/double'], '--seconds', 0.2);
  assert.ok(result.calls > 0);
  assert.ok(result.seconds < 0.2);
});

test('http_load fails where an answer is not the expected one', async () => {
  await assert.rejects(post(['/wrong'], '--calls', 1), /the answer was "wrong", expected 42/);
  await assert.rejects(post(['/failing'], '--calls', 1), /the status was 500, expected 200: out of order/);
  await assert.rejects(post(['/closing'], '--calls', 1), /the server closed a connection before it had answered/);
});

test('a load client is told when to stop in exactly one way', async () => {
  await assert.rejects(post(['/double']), /--calls/);
  await assert.rejects(post(['/double'], '--calls', 1, '--seconds', 1), /--calls/);
});
