// The events that carry data: CustomEvent (DOM Standard, 2.4), ErrorEvent and PromiseRejectionEvent (HTML Standard,
// 8.1.4.7 and 8.1.4.8).
//
// Evaluated after web_idl.js (slots, conversions, publishing globals); events.js (Event, the superclass); ecmascript.js
// (String.prototype.toWellFormed).
'use strict';

const { makeSlot, publish, isObject, needArguments, toDictionary } = runtime.webIdl;
const { initEvent, makeTrusted } = runtime.events;
const { Event } = globalThis;
const { apply } = Reflect;
const { toWellFormed } = String.prototype;
const TypeErrorConstructor = TypeError;

// Web IDL's USVString and unsigned long.
const toText = (value) => value === undefined ? '' : apply(toWellFormed, `${value}`, []);
const toCount = (value) => value === undefined ? 0 : value >>> 0;

const CustomSlot = makeSlot();

class CustomEvent extends Event {
  constructor(type, init = undefined) {
    needArguments(arguments.length, 1, 'CustomEvent');
    super(type, init);
    const { detail } = toDictionary(init, 'CustomEvent');
    new CustomSlot(this, { __proto__: null, detail: detail === undefined ? null : detail });
  }
  get detail() { return CustomSlot.of(this).detail; }
  initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
    const state = CustomSlot.of(this);
    needArguments(arguments.length, 1, 'initCustomEvent');
    if (initEvent(this, `${type}`, !!bubbles, !!cancelable)) state.detail = detail;
  }
}

const ErrorSlot = makeSlot();

class ErrorEvent extends Event {
  constructor(type, init = undefined) {
    needArguments(arguments.length, 1, 'ErrorEvent');
    super(type, init);
    const dictionary = toDictionary(init, 'ErrorEvent');
    // In the order in which Web IDL reads the members.
    const colno = toCount(dictionary.colno);
    const { error } = dictionary;
    const filename = toText(dictionary.filename);
    const lineno = toCount(dictionary.lineno);
    const message = toText(dictionary.message);
    new ErrorSlot(this, { __proto__: null, colno, error, filename, lineno, message });
  }
  get message() { return ErrorSlot.of(this).message; }
  get filename() { return ErrorSlot.of(this).filename; }
  get lineno() { return ErrorSlot.of(this).lineno; }
  get colno() { return ErrorSlot.of(this).colno; }
  get error() { return ErrorSlot.of(this).error; }
}

const RejectionSlot = makeSlot();

class PromiseRejectionEvent extends Event {
  constructor(type, init) {
    needArguments(arguments.length, 2, 'PromiseRejectionEvent');
    super(type, init);
    const dictionary = toDictionary(init, 'PromiseRejectionEvent');
    const { promise } = dictionary;
    if (!isObject(promise)) {
      throw new TypeErrorConstructor('PromiseRejectionEvent: the options must have a promise');
    }
    new RejectionSlot(this, { __proto__: null, promise, reason: dictionary.reason });
  }
  get promise() { return RejectionSlot.of(this).promise; }
  get reason() { return RejectionSlot.of(this).reason; }
}

const ErrorEventPrototype = ErrorEvent.prototype;
const PromiseRejectionEventPrototype = PromiseRejectionEvent.prototype;

// `details` has the attributes of an ErrorEvent. The event owns it from now on.
function makeErrorEvent(details) {
  const event = makeTrusted(ErrorEventPrototype, 'error', true);
  new ErrorSlot(event, details);
  return event;
}

function makeRejectionEvent(type, cancelable, promise, reason) {
  const event = makeTrusted(PromiseRejectionEventPrototype, type, cancelable);
  new RejectionSlot(event, { __proto__: null, promise, reason });
  return event;
}

// The attributes of an ErrorEvent; undefined for any other value.
const errorDetails = (event) => ErrorSlot.has(event) ? ErrorSlot.of(event) : undefined;

publish(CustomEvent);
publish(ErrorEvent);
publish(PromiseRejectionEvent);

runtime.derivedEvents = { makeErrorEvent, makeRejectionEvent, errorDetails };
