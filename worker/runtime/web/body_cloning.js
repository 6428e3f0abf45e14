// Fetch Standard, 2.2.4: cloning a body, by teeing its stream so that the second branch has chunks of its own
// (Streams Standard, 4.9.1, ReadableStreamDefaultTee with cloneForBranch2). Streams that are teed by their method
// share their chunks, except for streams of bytes. Evaluated before undici's response.js and request.js, which use
// this function instead of undici's own.
import body from 'undici/lib/web/fetch/body.js';
import { ReadableStream } from './streams.js';

const { apply } = Reflect;
const { then } = Promise.prototype;
const { getReader, tee } = ReadableStream.prototype;

function isByteStream(stream) {
  try {
    apply(getReader, stream, [{ __proto__: null, mode: 'byob' }]).releaseLock();
    return true;
  } catch {
    return false;
  }
}

function teeWithClones(stream) {
  const reader = apply(getReader, stream, []);
  const branches = [
    { __proto__: null, controller: undefined, isCancelled: false, reason: undefined },
    { __proto__: null, controller: undefined, isCancelled: false, reason: undefined },
  ];
  const { 0: first, 1: second } = branches;
  let isReading = false, readAgain = false, settle;
  const cancelled = new Promise((resolve) => { settle = resolve; });

  const toOpenOnes = (act) => {
    if (!first.isCancelled) act(first.controller);
    if (!second.isCancelled) act(second.controller);
  };
  const fail = (error) => {
    first.controller.error(error);
    second.controller.error(error);
  };
  const send = (chunk) => {
    let copy;
    try {
      if (!second.isCancelled) copy = structuredClone(chunk);
    } catch (error) {
      fail(error);
      settle(reader.cancel(error));
      return;
    }
    if (!first.isCancelled) first.controller.enqueue(chunk);
    if (!second.isCancelled) second.controller.enqueue(copy);
    if (readAgain) pull();
  };
  const pull = () => {
    readAgain = isReading;
    if (isReading) return;
    isReading = true;
    apply(then, reader.read(), [({ done, value }) => {
      isReading = false;
      if (!done) return send(value);
      toOpenOnes((controller) => controller.close());
      settle();
    }, () => {}]);  // `closed` below reports errors
  };
  const makeBranch = (branch) => new ReadableStream({
    __proto__: null,
    start(controller) { branch.controller = controller; },
    pull,
    cancel(reason) {
      branch.isCancelled = true;
      branch.reason = reason;
      if (first.isCancelled && second.isCancelled) settle(reader.cancel([first.reason, second.reason]));
      return cancelled;
    },
  });
  const made = [makeBranch(first), makeBranch(second)];
  apply(then, reader.closed, [() => {}, (error) => {
    fail(error);
    settle();
  }]);
  return made;
}

body.cloneBody = (cloned) => {
  const { stream, length, source } = cloned;
  const { 0: first, 1: second } = isByteStream(stream) ? apply(tee, stream, []) : teeWithClones(stream);
  cloned.stream = first;
  return { stream: second, length, source };
};
