// The global object as an EventTarget, and what is fired at it: `error`, `unhandledrejection` and `rejectionhandled`
// (HTML Standard, 8.1.4.6 and 8.1.4.7). preventDefault() means that the module has handled a failure.
//
// Evaluated after failures.js (runtime.globalEvents, which it fills); web_idl.js (publishing globals); events.js
// (targets and listeners); derived_events.js (the events that it fires).
'use strict';

const { originalPlace } = host;
const { globalEvents } = runtime;
const { isObject, publishAttribute } = runtime.webIdl;
const { makeTarget, addListener, removeListener, hasListener, dispatch, cancelEvent } = runtime.events;
const { makeErrorEvent, makeRejectionEvent, errorDetails } = runtime.derivedEvents;
const { defineProperty, getPrototypeOf, setPrototypeOf } = Object;
const { apply } = Reflect;
const globalObject = globalThis;

const target = makeTarget(globalObject);
// Gives the global object an interface of its own, which has no interface object.
const prototype = getPrototypeOf(globalObject);
delete prototype.constructor;
defineProperty(prototype, Symbol.toStringTag, { value: 'GlobalScope', configurable: true });
setPrototypeOf(prototype, EventTarget.prototype);

// --- event handlers (HTML Standard, 8.1.8.1) -----------------------------------------------------------------------

// `call` returns whether the handler cancels the event. Among the listeners, a handler keeps the place at which one
// was first set.
function publishHandler(type, call) {
  let handler = null, listener;
  const listen = (event) => {
    if (typeof handler === 'function' && call(handler, event)) cancelEvent(event);
  };
  publishAttribute(`on${type}`, () => handler, (value) => {
    handler = isObject(value) ? value : null;
    if (handler !== null) {
      listener ??= addListener(target, type, listen, false, false, false, undefined);
    } else if (listener !== undefined) {
      removeListener(target, listener);
      listener = undefined;
    }
  });
}

const callWithEvent = (handler, event) => apply(handler, globalObject, [event]) === false;

// An OnErrorEventHandler gets the event's attributes, and cancels the event by returning true.
publishHandler('error', (handler, event) => {
  const details = errorDetails(event);
  if (details === undefined) return callWithEvent(handler, event);
  const { message, filename, lineno, colno, error } = details;
  return apply(handler, globalObject, [message, filename, lineno, colno, error]) === true;
});
publishHandler('unhandledrejection', callWithEvent);
publishHandler('rejectionhandled', callWithEvent);

// --- what is fired -------------------------------------------------------------------------------------------------

// An error that a listener throws during the report of an error is not reported to listeners.
let inErrorReporting = false;

// `place` is what host.placeOf() returns.
globalEvents.error = (error, place) => {
  if (inErrorReporting || !hasListener(target, 'error')) return false;
  let { 0: message, 1: filename, 2: lineno, 3: colno } = place;
  const original = filename === '' ? undefined : originalPlace(filename, lineno, colno);
  if (original !== undefined) ({ 0: filename, 1: lineno, 2: colno } = original);
  inErrorReporting = true;
  try {
    return !dispatch(globalObject, makeErrorEvent({ __proto__: null, message, filename, lineno, colno, error }));
  } finally {
    inErrorReporting = false;
  }
};

globalEvents.unhandledRejection = (promise, reason) =>
  hasListener(target, 'unhandledrejection') &&
  !dispatch(globalObject, makeRejectionEvent('unhandledrejection', true, promise, reason));

globalEvents.rejectionHandled = (promise, reason) => {
  if (!hasListener(target, 'rejectionhandled')) return;
  dispatch(globalObject, makeRejectionEvent('rejectionhandled', false, promise, reason));
};
