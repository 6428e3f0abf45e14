// A worker of drivers/node_pool.mjs, a thread or a process. It loads the module that its last argument names, and
// answers {id, fn, payload} with {id, result}, or with {id, error}, which has the error's text.
const { isMainThread, parentPort } = require('node:worker_threads');

const module_ = require(process.argv.at(-1));
const [port, answer] = isMainThread
  ? [process, (message) => process.send(message)]
  : [parentPort, (message) => parentPort.postMessage(message)];

port.on('message', async ({ id, fn, payload }) => {
  try {
    answer({ id, result: await module_[fn](payload) });
  } catch (error) {
    answer({ id, error: String(error) });
  }
});
