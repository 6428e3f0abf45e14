// Results that are streams: a function that returns an async iterable.
//
// Evaluated after web_idl.js (isObject).
'use strict';

const { settle, openStream, sendChunk, whenGranted } = host;
const { isObject } = runtime.webIdl;
const { apply } = Reflect;
const PromiseConstructor = Promise;
const TypeErrorConstructor = TypeError;

// What sendChunk returns: ROOM for more; FULL, no room until whenGranted() calls back; or another number if no more
// chunks are wanted.
const ROOM = 0, FULL = 1;

// Sends the values of the iterable, whose [Symbol.asyncIterator] is `open`, one after another as long as the call
// wants them. The end is the call's answer: what the iterator returned or threw.
runtime.stream = async (id, iterable, open) => {
  let iterator, closing, wake;
  // Runs a generator's `finally`, now or after what it is waiting for. An error there is not reported.
  const close = async () => {
    try {
      const { return: finish } = iterator;
      if (finish !== undefined && finish !== null) await apply(finish, iterator, []);
    } catch { /* as said */ }
  };
  const stop = () => {
    if (iterator === undefined || closing !== undefined) return;
    closing = close();
    if (wake !== undefined) wake();
  };
  try {
    openStream(id, stop);
    iterator = apply(open, iterable, []);
    if (!isObject(iterator)) throw new TypeErrorConstructor('Result of the Symbol.asyncIterator method is not an object');
    const { next } = iterator;
    while (closing === undefined) {
      const step = await apply(next, iterator, []);
      if (!isObject(step)) throw new TypeErrorConstructor('Result of the next method is not an object');
      if (step.done) {
        settle(id, true, step.value);
        return;
      }
      if (closing !== undefined) break;
      const state = sendChunk(id, step.value);
      if (state === FULL) await new PromiseConstructor((resolve) => { whenGranted(id, wake = resolve); });
      else if (state !== ROOM) stop();
    }
    await closing;
    settle(id, false);
  } catch (reason) {
    settle(id, false, reason);
  }
};
