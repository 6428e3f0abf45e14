// The second argument of every function: what it can know about its call.
//
// Evaluated after dom_exception.js (the reasons of signals); abort.js (context.signal).
'use strict';

const { takeSignal, clockAt } = host;
const { DOMException } = runtime;
const { makeSignal, abort } = runtime.signals;
const { freeze, defineProperty } = Object;
const { defineProperty: reflectDefineProperty } = Reflect;
const TypeErrorConstructor = TypeError;
const { max } = Math;
const { now } = Date;

// Numbered as CancelReason in worker.capnp.
const DEADLINE_EXCEEDED = 1;

function reasonFor(cancelReason) {
  return cancelReason === DEADLINE_EXCEEDED
    ? new DOMException('the call\'s time is over', 'TimeoutError')
    : new DOMException('the call was cancelled', 'AbortError');
}

const makeRest = () => ({ __proto__: null, signal: undefined, deadline: undefined });

// What the operator set for the module: the same for all calls, and the initial contents of process.env.
let environment = freeze({});

runtime.setEnvironment = (list) => {
  const all = {};
  for (let i = 0; i < list.length; i += 2) {
    const descriptor = { __proto__: null, value: list[i + 1], writable: true, enumerable: true, configurable: true };
    defineProperty(all, list[i], descriptor);
    defineProperty(processEnvironment, list[i], descriptor);
  }
  environment = freeze(all);
};

// `process` has only `env`, so that code that asks for NODE_ENV and the like runs unchanged. As in Node, every value
// becomes a string.
const processEnvironment = {};
defineProperty(globalThis, 'process', {
  value: {
    env: new Proxy(processEnvironment, {
      __proto__: null,
      defineProperty(target, name, descriptor) {
        if (typeof name === 'symbol') throw new TypeErrorConstructor('process.env: a variable\'s name must be a string');
        if (!('value' in descriptor) || descriptor.writable !== true && descriptor.writable !== undefined) {
          throw new TypeErrorConstructor('process.env: a variable must have a value and be writable');
        }
        const value = `${descriptor.value}`;
        return reflectDefineProperty(target, name,
          { __proto__: null, value, writable: true, enumerable: true, configurable: true });
      },
    }),
  },
  writable: true,
  enumerable: false,
  configurable: true,
});

// Most functions use none of what the prototype offers, so that is made on demand.
class Context {
  #call;
  #deadline;  // in milliseconds of CLOCK_MONOTONIC, or Infinity
  #made;  // made on demand
  requestId;
  module;
  version;
  function;

  constructor(call, deadline, requestId, module, version, name) {
    this.#call = call;
    this.#deadline = deadline;
    this.requestId = requestId;
    this.module = module;
    this.version = version;
    this.function = name;
  }

  // Aborted when the call is cancelled or its time is over.
  get signal() {
    const made = this.#made ??= makeRest();
    if (made.signal === undefined) {
      made.signal = makeSignal();
      const cancelReason = takeSignal(this.#call, made.signal);
      if (cancelReason !== undefined) abort(made.signal, reasonFor(cancelReason));
    }
    return made.signal;
  }

  // When the call's time is over, as Date.now() will say.
  get deadline() {
    const made = this.#made ??= makeRest();
    return made.deadline ??= clockAt(this.#deadline);
  }

  get env() { return environment; }

  // In milliseconds, at least 0. Uses the one clock that there is: a second clock with steps of its own would divide
  // the steps of the first.
  remainingTime() { return max(0, this.deadline - now()); }
}
// Modules must not make contexts of other calls, or change what all contexts have.
delete Context.prototype.constructor;
freeze(Context.prototype);

runtime.makeContext = (call, deadline, requestId, module, version, name) =>
  new Context(call, deadline, requestId, module, version, name);

runtime.abortCall = (signal, cancelReason) => abort(signal, reasonFor(cancelReason));
