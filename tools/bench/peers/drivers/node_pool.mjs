// A plain pool of Node.js workers. Calls go to the workers in round-robin order, at once and without a queue: nothing
// is quicker for calls that are all alike.

// `make(onMessage)` makes a worker, {post(message), close()}; its answers go to onMessage.
export function nodePool(make, size) {
  const waiting = new Map();
  let nextId = 0;
  const answered = ({ id, result, error }) => {
    const { resolve, reject } = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) resolve(result);
    else reject(new Error(error));
  };
  const workers = Array.from({ length: size }, () => make(answered));
  return {
    run: ({ fn, payload }) => new Promise((resolve, reject) => {
      const id = nextId++;
      waiting.set(id, { resolve, reject });
      workers[id % size].post({ id, fn, payload });
    }),
    close: () => Promise.all(workers.map((worker) => worker.close())),
  };
}
