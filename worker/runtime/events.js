// Event and EventTarget (DOM Standard, 2; https://dom.spec.whatwg.org/#events). Targets have no parents here, so each
// event's path is its target alone.
//
// Evaluated after calls.js (how values are told apart and cut); errors.js (how errors are described); failures.js
// (runtime.globalEvents); web_idl.js (slots, conversions, publishing globals); dom_exception.js (the class). Listeners
// that have a signal use abort.js, which is evaluated later because AbortSignal is an EventTarget.
'use strict';

const { log, placeOf, timeOrigin } = host;
const { beginning, describeError, isError, DOMException, globalEvents } = runtime;
const { makeSlot, publish, isObject, needArguments, toDictionary } = runtime.webIdl;
const { create, defineProperty, freeze, getOwnPropertyDescriptor } = Object;
const { apply } = Reflect;
const { now } = Date;
const TypeErrorConstructor = TypeError;
const globalObject = globalThis;
const SetConstructor = Set;
const setAdd = Set.prototype.add;
const setDelete = Set.prototype.delete;
const setForEach = Set.prototype.forEach;

const ERROR = 3;  // LogLevel in worker.capnp

// HTML Standard, 8.1.4.6 (report an exception), for errors that are not caught. `place` is what host.placeOf(error)
// returns.
function report(error, where, place) {
  if (globalEvents.error?.(error, place) === true) return;
  if (isObject(error) && !isError(error)) {
    return log(ERROR, `${where}: a value that is not an Error was thrown: ${beginning(runtime.inspectSafely(error))}`);
  }
  const { 0: message, 1: stack } = describeError(error);
  log(ERROR, `${where}: ${message}\n${stack}`);
}

// --- events --------------------------------------------------------------------------------------------------------

const NONE = 0, CAPTURING_PHASE = 1, AT_TARGET = 2, BUBBLING_PHASE = 3;

const EventSlot = makeSlot();

// Each event has this property of its own, which cannot be changed.
const isTrustedProperty = freeze({
  __proto__: null,
  get: getOwnPropertyDescriptor({ get isTrusted() { return EventSlot.of(this).isTrusted; } }, 'isTrusted').get,
  set: undefined,
  enumerable: true,
  configurable: false,
});

function initialize(event, type, bubbles, cancelable, composed, isTrusted) {
  new EventSlot(event, {
    __proto__: null, type, bubbles, cancelable, composed, isTrusted, timeStamp: now() - timeOrigin(),
    target: null, currentTarget: null, phase: NONE,
    dispatched: false, stopped: false, stoppedAtOnce: false, canceled: false, inPassiveListener: false,
  });
  defineProperty(event, 'isTrusted', isTrustedProperty);
}

function cancel(state) {
  if (state.cancelable && !state.inPassiveListener) state.canceled = true;
}

class Event {
  constructor(type, init = undefined) {
    needArguments(arguments.length, 1, 'Event');
    type = `${type}`;
    const { bubbles, cancelable, composed } = toDictionary(init, 'Event');
    initialize(this, type, !!bubbles, !!cancelable, !!composed, false);
  }
  get type() { return EventSlot.of(this).type; }
  get target() { return EventSlot.of(this).target; }
  get srcElement() { return EventSlot.of(this).target; }
  get currentTarget() { return EventSlot.of(this).currentTarget; }
  composedPath() {
    const { currentTarget } = EventSlot.of(this);
    return currentTarget === null ? [] : [currentTarget];
  }
  get eventPhase() { return EventSlot.of(this).phase; }
  stopPropagation() { EventSlot.of(this).stopped = true; }
  get cancelBubble() { return EventSlot.of(this).stopped; }
  set cancelBubble(value) {
    const state = EventSlot.of(this);
    if (value) state.stopped = true;
  }
  stopImmediatePropagation() {
    const state = EventSlot.of(this);
    state.stopped = state.stoppedAtOnce = true;
  }
  get bubbles() { return EventSlot.of(this).bubbles; }
  get cancelable() { return EventSlot.of(this).cancelable; }
  get returnValue() { return !EventSlot.of(this).canceled; }
  set returnValue(value) {
    const state = EventSlot.of(this);
    if (!value) cancel(state);
  }
  preventDefault() { cancel(EventSlot.of(this)); }
  get defaultPrevented() { return EventSlot.of(this).canceled; }
  get composed() { return EventSlot.of(this).composed; }
  get timeStamp() { return EventSlot.of(this).timeStamp; }
  initEvent(type, bubbles = false, cancelable = false) {
    const state = EventSlot.of(this);
    needArguments(arguments.length, 1, 'initEvent');
    initializeAgain(state, `${type}`, !!bubbles, !!cancelable);
  }
}

// Returns false, and changes nothing, if the event is being dispatched.
function initializeAgain(state, type, bubbles, cancelable) {
  if (state.dispatched) return false;
  state.type = type;
  state.bubbles = bubbles;
  state.cancelable = cancelable;
  state.stopped = state.stoppedAtOnce = state.canceled = state.isTrusted = false;
  state.target = null;
  return true;
}

// --- targets -------------------------------------------------------------------------------------------------------

const TargetSlot = makeSlot();

// `listeners` is a Set in the order in which they were added, once there was one; `serial` is the number of the last.
// `changed`, if there is one, is called when a listener was added or removed.
function makeTarget(object) {
  const target = { __proto__: null, listeners: undefined, serial: 0, changed: undefined };
  new TargetSlot(object, target);
  return target;
}

function find(target, type, callback, capture) {
  let found;
  if (target.listeners !== undefined) {
    apply(setForEach, target.listeners, [(listener) => {
      if (listener.type === type && listener.callback === callback && listener.capture === capture) found = listener;
    }]);
  }
  return found;
}

function addListener(target, type, callback, capture, once, passive, signal) {
  if (callback === null || find(target, type, callback, capture) !== undefined) return undefined;
  const listener = {
    __proto__: null, type, callback, capture, once, passive, signal, serial: ++target.serial, algorithm: undefined,
  };
  target.listeners ??= new SetConstructor();
  apply(setAdd, target.listeners, [listener]);
  if (signal !== undefined) {
    listener.algorithm = () => removeListener(target, listener);
    runtime.signals.addAlgorithm(signal, listener.algorithm);
  }
  if (target.changed !== undefined) target.changed();
  return listener;
}

function removeListener(target, listener) {
  if (!apply(setDelete, target.listeners, [listener])) return;
  if (listener.signal !== undefined) runtime.signals.removeAlgorithm(listener.signal, listener.algorithm);
  if (target.changed !== undefined) target.changed();
}

function hasListener(target, type) {
  let found = false;
  if (target.listeners !== undefined) {
    apply(setForEach, target.listeners, [(listener) => { if (listener.type === type) found = true; }]);
  }
  return found;
}

function call(listener, object, event) {
  const { callback } = listener;
  if (typeof callback === 'function') return apply(callback, object, [event]);
  const { handleEvent } = callback;
  if (typeof handleEvent !== 'function') throw new TypeErrorConstructor('handleEvent is not a function');
  return apply(handleEvent, callback, [event]);
}

function invoke(object, target, event, state, capture) {
  const { listeners, serial } = target;
  if (listeners === undefined || state.stopped) return;
  state.currentTarget = object;
  apply(setForEach, listeners, [(listener) => {
    // A listener that was added during this dispatch is for the next event.
    if (state.stoppedAtOnce || listener.serial > serial) return;
    if (listener.type !== state.type || listener.capture !== capture) return;
    if (listener.once) removeListener(target, listener);
    state.inPassiveListener = listener.passive;
    try {
      call(listener, object, event);
    } catch (error) {
      report(error, 'uncaught in an event listener', placeOf(error, false));
    }
    state.inPassiveListener = false;
  }]);
}

function dispatch(object, event) {
  const target = TargetSlot.of(object), state = EventSlot.of(event);
  state.dispatched = true;
  state.target = object;
  state.phase = AT_TARGET;
  invoke(object, target, event, state, true);
  invoke(object, target, event, state, false);
  state.phase = NONE;
  state.currentTarget = null;
  state.dispatched = state.stopped = state.stoppedAtOnce = false;
  return !state.canceled;
}

const EventPrototype = Event.prototype;

// Makes an event of the platform's own, of a class that may give it further slots.
function makeTrusted(prototype, type, cancelable) {
  const event = create(prototype);
  initialize(event, type, false, cancelable, false, true);
  return event;
}

// Fires such an event at an object that is a target.
function fire(object, type) { dispatch(object, makeTrusted(EventPrototype, type, false)); }

function toCallback(callback, where) {
  if (callback === undefined || callback === null) return null;
  if (!isObject(callback)) throw new TypeErrorConstructor(`${where}: the listener must be a function or an object`);
  return callback;
}

function toCapture(options) {
  return isObject(options) ? !!options.capture : !!options;
}

// A method that is called without a receiver is called on the global object (Web IDL, 3.7.7), which is a target, too.
class EventTarget {
  constructor() { makeTarget(this); }
  addEventListener(type, callback, options = undefined) {
    const target = TargetSlot.of(this ?? globalObject);
    needArguments(arguments.length, 2, 'addEventListener');
    type = `${type}`;
    callback = toCallback(callback, 'addEventListener');
    const capture = toCapture(options);
    let once = false, passive = false, signal;
    if (isObject(options)) {
      once = !!options.once;
      passive = !!options.passive;
      ({ signal } = options);
      if (signal !== undefined && runtime.signals.isAborted(signal)) return;
    }
    addListener(target, type, callback, capture, once, passive, signal);
  }
  removeEventListener(type, callback, options = undefined) {
    const target = TargetSlot.of(this ?? globalObject);
    needArguments(arguments.length, 2, 'removeEventListener');
    type = `${type}`;
    callback = toCallback(callback, 'removeEventListener');
    const listener = find(target, type, callback, toCapture(options));
    if (listener !== undefined) removeListener(target, listener);
  }
  dispatchEvent(event) {
    const object = this ?? globalObject;
    TargetSlot.of(object);
    needArguments(arguments.length, 1, 'dispatchEvent');
    if (!EventSlot.has(event)) throw new TypeErrorConstructor('dispatchEvent: the event must be an Event');
    const state = EventSlot.of(event);
    if (state.dispatched) throw new DOMException('the event is being dispatched already', 'InvalidStateError');
    state.isTrusted = false;
    return dispatch(object, event);
  }
}

publish(Event, [
  ['NONE', NONE], ['CAPTURING_PHASE', CAPTURING_PHASE], ['AT_TARGET', AT_TARGET], ['BUBBLING_PHASE', BUBBLING_PHASE],
]);
publish(EventTarget);

const cancelEvent = (event) => cancel(EventSlot.of(event));
const initEvent = (event, type, bubbles, cancelable) => initializeAgain(EventSlot.of(event), type, bubbles, cancelable);

runtime.events = {
  EventTarget, makeTarget, addListener, removeListener, hasListener, makeTrusted, dispatch, fire, cancelEvent, initEvent,
  report,
};
