// The JavaScript that the worker needs to run calls.
//
// Like all files of the runtime, it is evaluated once, in the zygote, before any module exists, as the body of a
// function with the parameters `host` (native functions) and `runtime` (where the files put functions for the worker
// and for each other). The order is that of the list in meson.build.
//
// A module shares this realm and may change any global. So no file of the runtime may look up a global, or a method on
// a value of the module's, at the time of a call: all that is needed is taken now.
//
// Evaluated first: it needs no other file.
'use strict';

const { settle } = host;
const { apply } = Reflect;
const { stringify } = JSON;
const { getPrototypeOf, hasOwn, keys } = Object;
const { isArray } = Array;
const ErrorPrototype = Error.prototype;
const ObjectPrototype = Object.prototype;
const ArrayPrototype = Array.prototype;
const StringConstructor = String;
const stringSlice = String.prototype.slice;
const SetConstructor = Set;
const setHas = Set.prototype.has;
const setAdd = Set.prototype.add;
const setDelete = Set.prototype.delete;
const isIdentifier = /^[A-Za-z_$][A-Za-z0-9_$]*$/;
const regExpExec = RegExp.prototype.exec;

// Tells the worker the result of a value that is not settled yet. `await` takes promises and other thenables alike.
// For a native promise it does not call what a module may have put in the place of Promise.prototype.then.
runtime.watch = async (id, value) => {
  let result;
  try {
    result = await value;
  } catch (reason) {
    settle(id, false, reason);
    return;
  }
  settle(id, true, result);
};

// Longer prototype chains are not followed; one with Proxies may have no end.
const longestChain = 1000;

function isError(value) {
  try {
    let at = value;
    for (let i = 0; i < longestChain && typeof at === 'object' && at !== null; i++) {
      if (at === ErrorPrototype) return true;
      at = getPrototypeOf(at);
    }
  } catch { /* a Proxy that throws is no error object of ours */ }
  return false;
}

// No text is shown with more characters (module_host.cc counts bytes). Longer texts are cut, and those that are far
// longer are not read at all: V8 keeps them in parts, and to read one character takes memory for all of them.
const mostShown = 16384;
const mostRead = 4194304;

function beginning(text) {
  if (text.length <= mostShown) return text;
  if (text.length > mostRead) return `a text of ${text.length} characters, too long to be shown`;
  return apply(stringSlice, text, [0, mostShown]);
}

function show(value) {
  try {
    if (typeof value === 'string') return beginning(value);
    if (typeof value === 'object' && value !== null) return beginning(stringify(value) ?? '{}');
    return beginning(StringConstructor(value));
  } catch {
    return `a value of type ${typeof value} that cannot be shown`;
  }
}

function step(path, key, inArray) {
  if (inArray) return `${path}[${key}]`;
  return apply(regExpExec, isIdentifier, [key]) !== null ? `${path}.${key}` : `${path}[${stringify(key)}]`;
}

// The prototypes that all objects of a kind share.
const GeneratorFunctionPrototype = getPrototypeOf(function* () { /* is not run */ });
const AsyncGeneratorFunctionPrototype = getPrototypeOf(async function* () { /* is not run */ });
const GeneratorPrototype = GeneratorFunctionPrototype.prototype;
const AsyncGeneratorPrototype = AsyncGeneratorFunctionPrototype.prototype;
const IteratorPrototype = getPrototypeOf(getPrototypeOf([].values()));
const PromisePrototype = Promise.prototype;
// A Proxy may have prototypes without end.
const mostPrototypes = 16;

const generator = 'a generator', asyncGenerator = 'an async generator', iterator = 'an iterator';
const generatorFunction = 'a generator function', asyncGeneratorFunction = 'an async generator function';

function kindOfIterator(prototype) {
  for (let at = prototype, left = mostPrototypes; at !== null && left > 0; at = getPrototypeOf(at), left--) {
    if (at === GeneratorPrototype) return generator;
    if (at === AsyncGeneratorPrototype) return asyncGenerator;
    if (at === IteratorPrototype) return iterator;
  }
  return undefined;
}

// Advice on a part of a result with this description; undefined if the description says it all.
const adviceOn = (what) => {
  switch (what) {
    case generator: case iterator:
      return 'its values are not sent: return them as an array, [...values], or send them as a stream from an async generator, ' +
        'async function*';
    case asyncGenerator:
      return 'only what the function itself returns is sent as a stream: return it alone, or collect its values first';
    case generatorFunction: return 'call it, and return its values as an array, [...values]';
    case asyncGeneratorFunction: return 'call it: what it then returns is sent as a stream';
    case 'an instance of Promise': return 'await it before it is returned';
    default: return undefined;
  }
};

// Describes, for a person, an object that is not a plain one.
function describeInstance(prototype) {
  let name;
  try {
    const kind = kindOfIterator(prototype);
    if (kind !== undefined) return kind;
    if (prototype === PromisePrototype) return 'an instance of Promise';
    ({ name } = prototype.constructor);
  } catch { /* it has none to tell */ }
  return typeof name === 'string' && name !== '' ? `an instance of ${beginning(name)}` : 'not a plain object';
}

// Describes, for a person, a value that is not an object and cannot be sent.
function describeOther(value) {
  if (typeof value === 'function') {
    const prototype = getPrototypeOf(value);
    if (prototype === GeneratorFunctionPrototype) return generatorFunction;
    if (prototype === AsyncGeneratorFunctionPrototype) return asyncGeneratorFunction;
  }
  return `a ${typeof value}`;
}

// The first part of a value that its JSON text has lost or changed, as [path, what it is, what to do or undefined];
// undefined if there is none. Only run after JSON.stringify took the value, so there are no cycles. A getter or a
// Proxy may show this other things than it showed JSON.stringify. Then the module has deceived only its own caller,
// which gets JSON all the same.
runtime.findLossy = (root) => {
  // [what, path behind this value]
  function visit(value) {
    switch (typeof value) {
      case 'string': case 'boolean': return undefined;
      case 'number':
        if (value - value !== 0) return [value !== value ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity', ''];
        return value === 0 && 1 / value < 0 ? ['-0', ''] : undefined;
      case 'object': break;
      default: return [describeOther(value), ''];
    }
    if (value === null) return undefined;
    const prototype = getPrototypeOf(value);
    if (isArray(value)) {
      if (prototype !== ArrayPrototype) return [describeInstance(prototype), ''];
      for (let i = 0; i < value.length; i++) {
        const item = value[i];
        const found = item === undefined ? ['undefined', ''] : visit(item);
        if (found !== undefined) return [found[0], step('', i, true) + found[1]];
      }
      return undefined;
    }
    if (prototype !== ObjectPrototype && prototype !== null) return [describeInstance(prototype), ''];
    for (const key in value) {
      if (!hasOwn(value, key)) continue;
      const property = value[key];
      if (property === undefined) continue;
      const found = visit(property);
      if (found !== undefined) return [found[0], step('', key, false) + found[1]];
    }
    return undefined;
  }
  try {
    const found = visit(root);
    return found === undefined ? undefined : [`$${found[1]}`, found[0], adviceOn(found[0])];
  } catch {
    return ['$', 'nested too deeply to be checked, or has properties that throw'];
  }
};

// The first value in a result that JSON.stringify refuses, as [path, what it is]; undefined if none is found (a
// toJSON or a getter threw, for example). Only run after JSON.stringify threw.
runtime.findUnserializable = (root) => {
  const above = new SetConstructor();
  function visit(value, path) {
    if (typeof value === 'bigint') return [path, 'a BigInt'];
    if (typeof value !== 'object' || value === null) return undefined;
    if (apply(setHas, above, [value])) return [path, 'a reference back to an object that contains it'];
    apply(setAdd, above, [value]);
    const names = keys(value);
    for (let i = 0; i < names.length; i++) {
      const found = visit(value[names[i]], step(path, names[i], isArray(value)));
      if (found !== undefined) return found;
    }
    apply(setDelete, above, [value]);
    return undefined;
  }
  try {
    return visit(root, '$');
  } catch {
    return undefined;
  }
};

runtime.show = show;
runtime.step = step;
runtime.describeInstance = describeInstance;
runtime.adviceOn = adviceOn;
runtime.describeOther = describeOther;
runtime.kindOfIterator = kindOfIterator;
runtime.isError = isError;
runtime.beginning = beginning;
runtime.mostShown = mostShown;
runtime.mostRead = mostRead;
