// MessageEvent (HTML Standard, 9.1).
//
// Evaluated after web_idl.js (slots, conversions, publishing globals); events.js (Event, the superclass);
// structured_clone.js (conversions of sequences); ecmascript.js (String.prototype.toWellFormed); message_port.js
// (runtime.messages, which it completes).
'use strict';

const { messages } = runtime;
const { makeSlot, publish, isObject, needArguments, toDictionary } = runtime.webIdl;
const { makeTrusted, dispatch, initEvent } = runtime.events;
const { put, toObjects } = runtime.copying;
const { Event } = globalThis;
const { apply } = Reflect;
const { freeze } = Object;
const { toWellFormed } = String.prototype;
const ArrayPrototype = Array.prototype;
const TypeErrorConstructor = TypeError;

const MessageSlot = makeSlot();

// MessageEventSource; only ports exist here.
function toSource(value, where) {
  if (value === undefined || value === null) return null;
  if (!messages.isPort(value)) throw new TypeErrorConstructor(`${where}: the source must be a MessagePort`);
  return value;
}

function toPorts(value, where) {
  const ports = toObjects(value, `${where}: ports`);
  for (let i = 0; i < ports.length; i++) {
    if (!messages.isPort(ports[i])) throw new TypeErrorConstructor(`${where}: each of the ports must be a MessagePort`);
  }
  return freeze(ports);
}

const toText = (value) => value === undefined ? '' : `${value}`;
const toOrigin = (value) => apply(toWellFormed, toText(value), []);

class MessageEvent extends Event {
  constructor(type, init = undefined) {
    needArguments(arguments.length, 1, 'MessageEvent');
    super(type, init);
    const dictionary = toDictionary(init, 'MessageEvent');
    // In the order in which Web IDL reads the members.
    const { data = null } = dictionary;
    const lastEventId = toText(dictionary.lastEventId);
    const origin = toOrigin(dictionary.origin);
    const ports = toPorts(dictionary.ports, 'MessageEvent');
    const source = toSource(dictionary.source, 'MessageEvent');
    new MessageSlot(this, { __proto__: null, data, origin, lastEventId, source, ports });
  }
  get data() { return MessageSlot.of(this).data; }
  get origin() { return MessageSlot.of(this).origin; }
  get lastEventId() { return MessageSlot.of(this).lastEventId; }
  get source() { return MessageSlot.of(this).source; }
  get ports() { return MessageSlot.of(this).ports; }
  initMessageEvent(
    type, bubbles = false, cancelable = false, data = null, origin = '', lastEventId = '', source = null,
    ports = undefined,
  ) {
    const state = MessageSlot.of(this);
    needArguments(arguments.length, 1, 'initMessageEvent');
    type = `${type}`;
    origin = toOrigin(origin);
    lastEventId = toText(lastEventId);
    source = toSource(source, 'initMessageEvent');
    ports = toPorts(ports, 'initMessageEvent');
    if (!initEvent(this, type, !!bubbles, !!cancelable)) return;
    state.data = data;
    state.origin = origin;
    state.lastEventId = lastEventId;
    state.source = source;
    state.ports = ports;
  }
}
const MessageEventPrototype = MessageEvent.prototype;

publish(MessageEvent);

// `ports` is frozen.
messages.fire = (port, data, ports) => {
  const event = makeTrusted(MessageEventPrototype, 'message', false);
  new MessageSlot(event, { __proto__: null, data, origin: '', lastEventId: '', source: null, ports });
  dispatch(port, event);
};
