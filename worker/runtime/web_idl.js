// What the classes of the web platform share (Web IDL, https://webidl.spec.whatwg.org): internal slots with their brand
// checks, conversions, and the properties of interfaces and of the global object.
//
// It needs no other file. It must be evaluated before all files that publish globals.
'use strict';

const { defineProperty, freeze, getOwnPropertyDescriptor } = Object;
const { ownKeys } = Reflect;
const { toStringTag } = Symbol;
const TypeErrorConstructor = TypeError;
const globalObject = globalThis;

// An internal slot: a private field that can be given to an object of any class, and that no module can reach. A
// private field of the public class would need its constructor, whose `super` a module can replace.
//   new Slot(object, value)   gives the slot to an object that does not have it
//   Slot.of(object)           its value; throws a TypeError for any other value
function makeSlot() {
  class Given {
    constructor(object) { return object; }
  }
  class Slot extends Given {
    #value;
    constructor(object, value) {
      super(object);
      this.#value = value;
    }
    static has(object) { return typeof object === 'object' && object !== null && #value in object; }
    static of(object) {
      if (!Slot.has(object)) throw new TypeErrorConstructor('Illegal invocation');
      return object.#value;
    }
  }
  return Slot;
}

// Makes a class a global interface: its members are enumerable, and `constants` are on it and on its prototype.
function publish(Interface, constants = []) {
  const { name, prototype } = Interface;
  const ofEachClass = new Set(['length', 'name', 'prototype']);
  for (const holder of [Interface, prototype]) {
    for (const key of ownKeys(holder)) {
      if (holder === Interface ? ofEachClass.has(key) : key === 'constructor') continue;
      defineProperty(holder, key, { ...getOwnPropertyDescriptor(holder, key), enumerable: true });
    }
    for (const { 0: constant, 1: value } of constants) defineProperty(holder, constant, { value, enumerable: true });
  }
  defineProperty(prototype, toStringTag, { value: name, configurable: true });
  defineProperty(globalThis, name, { value: Interface, writable: true, configurable: true });
}

// A function that is called without a receiver is called on the global object (Web IDL, 3.7.6 and 3.7.7). The global
// object's own members accept no other receiver.
function checkGlobal(object) {
  if (object !== globalObject && object !== undefined && object !== null) {
    throw new TypeErrorConstructor('Illegal invocation');
  }
}

// Makes the methods of an object enumerable operations of the global object. They must begin with checkGlobal().
function publishOperations(methods) {
  for (const name of ownKeys(methods)) {
    defineProperty(globalObject, name, { value: methods[name], writable: true, enumerable: true, configurable: true });
  }
}

// An attribute of the global object; without `write` it is read-only.
function publishAttribute(name, read, write = undefined) {
  const accessors = {
    get [name]() {
      checkGlobal(this);
      return read();
    },
    set [name](value) {
      checkGlobal(this);
      write(value);
    },
  };
  const { get, set } = getOwnPropertyDescriptor(accessors, name);
  const setter = write === undefined ? undefined : set;
  defineProperty(globalObject, name, { get, set: setter, enumerable: true, configurable: true });
}

// An attribute that becomes an ordinary property when it is set (Web IDL, 3.3.16, [Replaceable]).
function publishReplaceable(name, read) {
  publishAttribute(name, read, (value) => {
    defineProperty(globalObject, name, { __proto__: null, value, writable: true, enumerable: true, configurable: true });
  });
}

function isObject(value) { return (typeof value === 'object' && value !== null) || typeof value === 'function'; }

function needArguments(given, needed, where) {
  if (given < needed) {
    const needs = needed === 1 ? '1 argument' : `${needed} arguments`;
    throw new TypeErrorConstructor(`${where}: ${needs} required, but only ${given} present`);
  }
}

const nothing = freeze({ __proto__: null });

// Returns an object from which the members of the dictionary can be read.
function toDictionary(value, where) {
  if (value === undefined || value === null) return nothing;
  if (!isObject(value)) throw new TypeErrorConstructor(`${where}: the options must be an object`);
  return value;
}

runtime.webIdl = {
  makeSlot, publish, checkGlobal, publishOperations, publishAttribute, publishReplaceable, isObject, needArguments,
  toDictionary,
};
