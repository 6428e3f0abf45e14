// AbortController and AbortSignal (DOM Standard, 3; https://dom.spec.whatwg.org/#aborting-ongoing-activities).
//
// Evaluated after web_idl.js (slots, publishing globals); dom_exception.js (the reasons of signals); events.js
// (EventTarget, the superclass of AbortSignal).
'use strict';

const { setTimer, clearTimer } = host;
const { DOMException } = runtime;
const { makeSlot, publish, isObject, needArguments } = runtime.webIdl;
const { EventTarget, makeTarget, addListener, removeListener, hasListener, fire, cancelEvent } = runtime.events;
const { create, getOwnPropertyDescriptor } = Object;
const { apply } = Reflect;
const { max, min, trunc } = Math;
const { MAX_SAFE_INTEGER } = Number;
const TypeErrorConstructor = TypeError;
const SetConstructor = Set;
const setAdd = Set.prototype.add;
const setDelete = Set.prototype.delete;
const setForEach = Set.prototype.forEach;
const setSize = getOwnPropertyDescriptor(Set.prototype, 'size').get;
const WeakRefConstructor = WeakRef;
const deref = WeakRef.prototype.deref;
const registryRegister = FinalizationRegistry.prototype.register;

const sizeOf = (set) => apply(setSize, set, []);

// --- signals -------------------------------------------------------------------------------------------------------

const SignalSlot = makeSlot();

// `reason` is undefined until the signal is aborted. A dependent signal has `sources`, a Set of signals that are not
// dependent; a signal that others depend on has `dependents`, a Set of links to them.
function makeSignal() {
  const signal = create(AbortSignalPrototype);
  new SignalSlot(signal, {
    __proto__: null, target: makeTarget(signal), reason: undefined, algorithms: undefined, changed: undefined,
    sources: undefined, dependents: undefined, sweepAt: 0, handler: null, handlerListener: undefined,
  });
  return signal;
}

// DOM Standard, 3.2.2: what aborts a signal keeps it alive as long as something listens to it, and no longer. Returns
// the reference that it uses for that.
function linkTo(signal) {
  const link = { __proto__: null, weak: new WeakRefConstructor(signal), strong: undefined };
  const state = SignalSlot.of(signal);
  state.changed = state.target.changed = () => {
    const isHeard = state.algorithms !== undefined || hasListener(state.target, 'abort');
    link.strong = isHeard ? signal : undefined;
  };
  return link;
}

const follow = (link) => link.strong ?? apply(deref, link.weak, []);

// Removes links to signals that were collected whenever there may be twice as many links as the last time.
function addDependent(source, link) {
  const leastToSweep = 16;
  source.dependents ??= new SetConstructor();
  if (sizeOf(source.dependents) >= max(leastToSweep, source.sweepAt)) {
    apply(setForEach, source.dependents, [(old) => {
      if (follow(old) === undefined) apply(setDelete, source.dependents, [old]);
    }]);
    source.sweepAt = 2 * sizeOf(source.dependents);
  }
  apply(setAdd, source.dependents, [link]);
}

function addAlgorithm(signal, algorithm) {
  const state = SignalSlot.of(signal);
  state.algorithms ??= new SetConstructor();
  apply(setAdd, state.algorithms, [algorithm]);
  if (state.changed !== undefined) state.changed();
}

function removeAlgorithm(signal, algorithm) {
  const state = SignalSlot.of(signal);
  if (state.algorithms === undefined) return;
  apply(setDelete, state.algorithms, [algorithm]);
  if (sizeOf(state.algorithms) === 0) state.algorithms = undefined;
  if (state.changed !== undefined) state.changed();
}

function setReason(state, reason) {
  state.reason = reason;
  state.sources = undefined;
}

function runAbortSteps(signal) {
  const state = SignalSlot.of(signal);
  const { algorithms } = state;
  state.algorithms = undefined;
  if (algorithms !== undefined) apply(setForEach, algorithms, [(algorithm) => algorithm()]);
  if (state.target.listeners !== undefined) fire(signal, 'abort');
}

// Does nothing if the signal is aborted already. Throws nothing: errors of listeners are logged.
function abort(signal, reason) {
  const state = SignalSlot.of(signal);
  if (state.reason !== undefined) return;
  setReason(state, reason);
  const { dependents } = state;
  state.dependents = undefined;
  const aborted = new SetConstructor();
  apply(setAdd, aborted, [signal]);
  if (dependents !== undefined) {
    apply(setForEach, dependents, [(link) => {
      const dependent = follow(link);
      if (dependent === undefined) return;
      const dependentState = SignalSlot.of(dependent);
      if (dependentState.reason !== undefined) return;
      setReason(dependentState, reason);
      apply(setAdd, aborted, [dependent]);
    }]);
  }
  apply(setForEach, aborted, [runAbortSteps]);
}

function isAborted(signal) {
  if (!SignalSlot.has(signal)) throw new TypeErrorConstructor('the signal must be an AbortSignal');
  return SignalSlot.of(signal).reason !== undefined;
}

const orAbortError = (reason) =>
  reason === undefined ? new DOMException('signal is aborted without reason', 'AbortError') : reason;

// The longest delay of setTimer.
const longestDelay = 2147483647;

// Clears the timer of a signal that was collected.
const timeouts = new FinalizationRegistry((ticket) => clearTimer(ticket.timer));

function abortAfter(link, ticket, millis) {
  ticket.timer = setTimer(() => {
    ticket.timer = 0;
    if (millis > longestDelay) return abortAfter(link, ticket, millis - longestDelay);
    const signal = follow(link);
    if (signal !== undefined) abort(signal, new DOMException('signal timed out', 'TimeoutError'));
  }, min(millis, longestDelay), false);
}

// Web IDL's [EnforceRange] unsigned long long.
function toMillis(value) {
  const number = trunc(+value);
  if (number >= 0 && number <= MAX_SAFE_INTEGER) return number;
  throw new TypeErrorConstructor('AbortSignal.timeout: the time must be a number of milliseconds');
}

class AbortSignal extends EventTarget {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  static abort(reason = undefined) {
    const signal = makeSignal();
    setReason(SignalSlot.of(signal), orAbortError(reason));
    return signal;
  }
  static timeout(milliseconds) {
    needArguments(arguments.length, 1, 'AbortSignal.timeout');
    const millis = toMillis(milliseconds);
    const signal = makeSignal();
    const ticket = { __proto__: null, timer: 0 };
    abortAfter(linkTo(signal), ticket, millis);
    apply(registryRegister, timeouts, [signal, ticket]);
    return signal;
  }
  static any(signals) {
    needArguments(arguments.length, 1, 'AbortSignal.any');
    if (!isObject(signals)) throw new TypeErrorConstructor('AbortSignal.any: the signals must be iterable');
    const given = new SetConstructor();
    for (const signal of signals) {
      if (!SignalSlot.has(signal)) throw new TypeErrorConstructor('AbortSignal.any: each value must be an AbortSignal');
      apply(setAdd, given, [signal]);
    }
    const result = makeSignal();
    const state = SignalSlot.of(result);
    const sources = new SetConstructor();
    apply(setForEach, given, [(signal) => {
      const { reason, sources: further } = SignalSlot.of(signal);
      if (state.reason === undefined) state.reason = reason;
      if (further === undefined) apply(setAdd, sources, [signal]);
      else apply(setForEach, further, [(source) => apply(setAdd, sources, [source])]);
    }]);
    if (state.reason !== undefined) return result;
    state.sources = sources;
    const link = linkTo(result);
    apply(setForEach, sources, [(source) => addDependent(SignalSlot.of(source), link)]);
    return result;
  }
  get aborted() { return SignalSlot.of(this).reason !== undefined; }
  get reason() { return SignalSlot.of(this).reason; }
  throwIfAborted() {
    const { reason } = SignalSlot.of(this);
    if (reason !== undefined) throw reason;
  }
  // An event handler (HTML Standard, 8.1.8.1): among the listeners it keeps the place at which one was first set.
  get onabort() { return SignalSlot.of(this).handler; }
  set onabort(handler) {
    const state = SignalSlot.of(this);
    state.handler = isObject(handler) ? handler : null;
    if (state.handler === null) {
      if (state.handlerListener !== undefined) removeListener(state.target, state.handlerListener);
      state.handlerListener = undefined;
    } else {
      state.handlerListener ??= addListener(state.target, 'abort', (event) => {
        if (typeof state.handler === 'function' && apply(state.handler, this, [event]) === false) cancelEvent(event);
      }, false, false, false, undefined);
    }
  }
}
const AbortSignalPrototype = AbortSignal.prototype;

// --- controllers ---------------------------------------------------------------------------------------------------

const ControllerSlot = makeSlot();

class AbortController {
  constructor() { new ControllerSlot(this, makeSignal()); }
  get signal() { return ControllerSlot.of(this); }
  abort(reason = undefined) { abort(ControllerSlot.of(this), orAbortError(reason)); }
}

publish(AbortSignal);
publish(AbortController);

runtime.signals = { makeSignal, abort, isAborted, addAlgorithm, removeAlgorithm };
