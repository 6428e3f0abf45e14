// MessageChannel and MessagePort (HTML Standard, 9.4; https://html.spec.whatwg.org/#channel-messaging). Both ports of a
// channel are in one process. A message is copied when it is posted, and the copy waits.
//
// Evaluated after web_idl.js (slots, conversions, publishing globals); dom_exception.js (what failures throw);
// events.js (EventTarget, the superclass of MessagePort); structured_clone.js (copying; ports are registered as
// transferable). message_event.js sets runtime.messages.fire, which it calls.
'use strict';

const { queueTask, currentCall, currentTurnOwner } = host;
const { DOMException } = runtime;
const { makeSlot, publish, isObject, needArguments, toDictionary } = runtime.webIdl;
const { EventTarget, makeTarget, addListener, removeListener, hasListener, fire, cancelEvent } = runtime.events;
const { put, toObjects, cloneWithTransfer } = runtime.copying;
const { create, freeze } = Object;
const { apply } = Reflect;
const { iterator } = Symbol;
const ArrayPrototype = Array.prototype;
const mapGet = Map.prototype.get;
const mapSet = Map.prototype.set;
const mapDelete = Map.prototype.delete;
const TypeErrorConstructor = TypeError;
const WeakRefConstructor = WeakRef;
const deref = WeakRef.prototype.deref;
const registryRegister = FinalizationRegistry.prototype.register;

// --- tasks ---------------------------------------------------------------------------------------------------------

// The tasks that wait, by owner, in order. The worker knows their number and their calls; this map has what each
// does.
const queues = new Map();

// Throws, and changes nothing, if the worker cannot queue the task. All tasks of one end belong to the owner that
// made its channel, so that they stay in order.
function queue(call, end, run) {
  const task = { __proto__: null, end, run, next: undefined };
  queueTask(end.owner, call);
  const tasks = apply(mapGet, queues, [end.owner]);
  if (tasks !== undefined) tasks.last = tasks.last.next = task;
  else apply(mapSet, queues, [end.owner, { __proto__: null, first: task, last: task }]);
}

runtime.runTask = (owner) => {
  const tasks = apply(mapGet, queues, [owner]);
  if (tasks === undefined) return;
  const task = tasks.first;
  tasks.first = task.next;
  if (tasks.first === undefined) apply(mapDelete, queues, [owner]);
  task.run(task.end);
};

// --- ends of channels ----------------------------------------------------------------------------------------------

// An end of a channel stays when its port is transferred. It has the link to the other end, and the messages that
// arrived and were not delivered. `weak` refers to the port that has the end; `strong` does, too, while something
// listens there. The other end keeps this one alive, and so keeps a port that would hear of a message. `inTransit` is
// true from the transfer of a port to the delivery of the message that brings it.
function makeEnd(port) {
  return {
    __proto__: null, other: undefined, weak: new WeakRefConstructor(port), strong: undefined, enabled: false,
    inTransit: false, isCloseDue: false, first: undefined, last: undefined, owner: currentTurnOwner(),
  };
}

const portOf = (end) => end.strong ?? apply(deref, end.weak, []);

function enqueue(end, data, ports) {
  const message = { __proto__: null, data, ports, call: currentCall(), next: undefined };
  if (end.enabled) queue(message.call, end, deliver);
  if (end.last === undefined) end.first = message; else end.last.next = message;
  end.last = message;
}

// Each message of a port whose message queue is enabled has a task. The task delivers the first message at that time.
function enable(end) {
  if (end.enabled) return;
  end.enabled = true;
  for (let message = end.first; message !== undefined; message = message.next) queue(message.call, end, deliver);
}

function deliver(end) {
  const message = end.first;
  if (!end.enabled || message === undefined) return;
  end.first = message.next;
  if (end.first === undefined) end.last = undefined;
  const { data, ports } = message;
  for (let i = 0; i < ports.length; i++) arrive(PortSlot.of(ports[i]).end);
  const port = portOf(end);
  if (port !== undefined) runtime.messages.fire(port, data, ports);
}

// The module has got the end's new port.
function arrive(end) {
  end.inTransit = false;
  if (!end.isCloseDue) return;
  end.isCloseDue = false;
  queue(currentCall(), end, tellClosed);
}

// The standard fires `close` at once. Between two agents that is not possible, and messages on their way come first.
// It is the same here.
function disentangle(end) {
  const { other } = end;
  if (other === undefined) return;
  end.other = other.other = undefined;
  queue(currentCall(), other, tellClosed);
}

function tellClosed(end) {
  if (end.inTransit) {
    end.isCloseDue = true;
    return;
  }
  const port = portOf(end);
  if (port !== undefined) fire(port, 'close');
}

// A port that was collected counts as closed. The callback's ticket must not keep the port alive; its end does so
// while the port listens.
const portsInUse = new FinalizationRegistry((ticket) => {
  const end = apply(deref, ticket, []);
  if (end !== undefined && portOf(end) === undefined) disentangle(end);
});

// --- ports ---------------------------------------------------------------------------------------------------------

const PortSlot = makeSlot();

// Makes a port without an end: it is given one later. A port that was transferred has none either; a closed port
// keeps its own.
function makePort() {
  const port = create(MessagePortPrototype);
  const state = {
    __proto__: null, target: makeTarget(port), end: undefined, isDetached: false,
    handlers: { __proto__: null, message: undefined, messageerror: undefined, close: undefined },
  };
  state.target.changed = () => { if (state.end !== undefined) hold(port, state); };
  new PortSlot(port, state);
  return port;
}

function hold(port, { target, end }) {
  end.strong = hasListener(target, 'message') || hasListener(target, 'messageerror') ? port : undefined;
}

function give(port, end) {
  const state = PortSlot.of(port);
  state.end = end;
  hold(port, state);
  apply(registryRegister, portsInUse, [port, new WeakRefConstructor(end)]);
}

runtime.transferable.register(
  PortSlot.has,
  (port) => PortSlot.of(port).isDetached,
  makePort,
  (port, received) => {
    const state = PortSlot.of(port), { end } = state;
    state.isDetached = true;
    state.end = undefined;
    end.enabled = false;
    end.inTransit = true;
    end.weak = new WeakRefConstructor(received);
    give(received, end);
  },
  (received) => arrive(PortSlot.of(received).end),
);

// An event handler (HTML Standard, 8.1.8.1): among the listeners it keeps the place at which one was first set.
const handlerOf = (port, type) => PortSlot.of(port).handlers[type]?.value ?? null;

function setHandler(port, type, value) {
  const { target, handlers } = PortSlot.of(port);
  const old = handlers[type];
  if (!isObject(value)) {
    handlers[type] = undefined;
    if (old !== undefined) removeListener(target, old.listener);
  } else if (old !== undefined) {
    old.value = value;
  } else {
    const handler = handlers[type] = { __proto__: null, value, listener: undefined };
    handler.listener = addListener(target, type, (event) => {
      if (typeof handler.value === 'function' && apply(handler.value, port, [event]) === false) cancelEvent(event);
    }, false, false, false, undefined);
  }
}

// The second argument of postMessage() is a sequence, or a dictionary that has one (Web IDL, 3.6: overloads).
function toTransfer(value, where) {
  const method = isObject(value) ? value[iterator] : undefined;
  if (method !== undefined && method !== null) return toObjects(value, `${where}: transfer`, method);
  return toObjects(toDictionary(value, where).transfer, `${where}: transfer`);
}

function includes(objects, object) {
  for (let i = 0; i < objects.length; i++) if (objects[i] === object) return true;
  return false;
}

class MessagePort extends EventTarget {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  postMessage(message, options = undefined) {
    const state = PortSlot.of(this);
    needArguments(arguments.length, 1, 'postMessage');
    const transfer = toTransfer(options, 'postMessage');
    const target = state.end?.other;
    if (includes(transfer, this)) {
      throw new DOMException('postMessage: a port cannot be transferred by itself', 'DataCloneError');
    }
    // A port that is sent through itself is lost, with the message.
    const isDoomed = target !== undefined && includes(transfer, portOf(target));
    const { copy, received } = cloneWithTransfer(message, transfer, 'postMessage');
    if (target === undefined || isDoomed) return;
    const ports = [];
    for (let i = 0; i < received.length; i++) {
      if (PortSlot.has(received[i])) put(ports, ArrayPrototype, ports.length, received[i]);
    }
    enqueue(target, copy, freeze(ports));
  }
  start() {
    const { end } = PortSlot.of(this);
    if (end !== undefined) enable(end);
  }
  close() {
    const state = PortSlot.of(this);
    state.isDetached = true;
    if (state.end !== undefined) disentangle(state.end);
  }
  get onmessage() { return handlerOf(this, 'message'); }
  set onmessage(handler) {
    setHandler(this, 'message', handler);
    const { end } = PortSlot.of(this);
    if (end !== undefined) enable(end);
  }
  get onmessageerror() { return handlerOf(this, 'messageerror'); }
  set onmessageerror(handler) { setHandler(this, 'messageerror', handler); }
  get onclose() { return handlerOf(this, 'close'); }
  set onclose(handler) { setHandler(this, 'close', handler); }
}
const MessagePortPrototype = MessagePort.prototype;

const ChannelSlot = makeSlot();

class MessageChannel {
  constructor() {
    const port1 = makePort(), port2 = makePort();
    const end1 = makeEnd(port1), end2 = makeEnd(port2);
    end1.other = end2;
    end2.other = end1;
    give(port1, end1);
    give(port2, end2);
    new ChannelSlot(this, { __proto__: null, port1, port2 });
  }
  get port1() { return ChannelSlot.of(this).port1; }
  get port2() { return ChannelSlot.of(this).port2; }
}

publish(MessagePort);
publish(MessageChannel);

runtime.messages = { isPort: PortSlot.has, fire: undefined };
