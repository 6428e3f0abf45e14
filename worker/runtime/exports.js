// The message about a module's exports when a call asks for a function that is not among them. The exports are the
// module's, which may throw and lie.
//
// Evaluated after calls.js (how objects are described).
'use strict';

const { promiseDetails } = host;
const { beginning, describeInstance } = runtime;
const { apply, getOwnPropertyDescriptor } = Reflect;
const { getPrototypeOf, hasOwn, keys } = Object;
const { isArray } = Array;
const ArrayPrototype = Array.prototype;
const ObjectPrototype = Object.prototype;
const FunctionPrototype = Function.prototype;
const functionToString = Function.prototype.toString;
const regExpExec = RegExp.prototype.exec;
const stringSlice = String.prototype.slice;

const mostNames = 10;
const mostCharacters = 64;  // of a name
const longestChain = 100;   // of prototypes

// A method may have the name "class", too.
const textOfClass = /^class(?![\w$]|\s*\()/;

runtime.isClass = (value) => apply(regExpExec, textOfClass, [beginning(apply(functionToString, value, []))]) !== null;
const { isClass } = runtime;

const nameText = (name) => name.length > mostCharacters ? `${apply(stringSlice, name, [0, mostCharacters])}...` : name;

// Describes a value for a person; '' for a function that can be called.
function kindText(value) {
  switch (typeof value) {
    case 'function': return isClass(value) ? 'a class' : '';
    case 'undefined': return 'undefined';
    case 'object': break;
    default: return `a ${typeof value}`;
  }
  if (value === null) return 'null';
  if (promiseDetails(value) !== undefined) return 'a Promise';
  const prototype = getPrototypeOf(value);
  if (isArray(value) && prototype === ArrayPrototype) return 'an array';
  return prototype === ObjectPrototype || prototype === null ? 'an object' : nameText(describeInstance(prototype));
}

function entryText(exported, name) {
  let kind;
  try {
    kind = kindText(exported[name]);
  } catch {
    kind = 'it cannot be read';
  }
  return kind === '' ? nameText(name) : `${nameText(name)} (${kind})`;
}

// "f, g, n (a number)": lists the names of both, without those that they share.
function listText(exported, byDefault) {
  let list = '', count = 0, more = 0;
  const add = (text) => {
    if (count++ < mostNames) list += `${list === '' ? '' : ', '}${text}`;
    else more++;
  };
  const names = keys(exported);
  if (typeof exported === 'function' && !hasOwn(exported, 'default')) add(isClass(exported) ? 'default (a class)' : 'default');
  for (let i = 0; i < names.length; i++) {
    // A default export that is an object is listed by its functions.
    const isListed = names[i] === 'default' && byDefault !== undefined && kindText(byDefault) === 'an object' ||
      names[i] === '__esModule';
    if (!isListed) add(entryText(exported, names[i]));
  }
  if (byDefault !== undefined && byDefault !== exported) {
    const inner = keys(byDefault);
    for (let i = 0; i < inner.length; i++) if (!hasOwn(exported, inner[i])) add(entryText(byDefault, inner[i]));
  }
  if (list === '') return 'nothing';
  return more > 0 ? `${list} and ${more} more` : list;
}

// If `name` is a method that `object` inherits, the name of the class, or ''; otherwise undefined.
function inheritedFrom(object, name) {
  let at = getPrototypeOf(object);
  for (let i = 0; i < longestChain && at !== null && at !== ObjectPrototype && at !== FunctionPrototype; i++) {
    const descriptor = getOwnPropertyDescriptor(at, name);
    if (descriptor !== undefined) {
      if (name === 'constructor' || !hasOwn(descriptor, 'value') || typeof descriptor.value !== 'function') return undefined;
      const maker = getOwnPropertyDescriptor(at, 'constructor')?.value;
      const called = typeof maker === 'function' ? getOwnPropertyDescriptor(maker, 'name')?.value : '';
      return typeof called === 'string' ? nameText(called) : '';
    }
    at = getPrototypeOf(at);
  }
  return undefined;
}

const ofClass = 'a class cannot be called, and its methods are not exports: export functions that use an instance';
const ofBundle = 'assign functions to module.exports, or export them; a bundle exports them with esbuild\'s --format=cjs or ' +
  '--format=esm, and exports nothing with --format=iife, which is its default';

const isClassValue = (value) => typeof value === 'function' && isClass(value);
const isPromise = (value) => typeof value === 'object' && promiseDetails(value) !== undefined;

// Advice; '' if the list says it all. `main` is the default export, or the exports if there is none.
function adviceText(exported, main, isEsModule, name, list) {
  const mainName = main !== exported ? 'the default export' : 'module.exports';
  const isOwn = hasOwn(exported, name);
  if (isOwn && isClassValue(exported[name]) || isClassValue(main)) return ofClass;
  const owner = inheritedFrom(main, name);
  if (owner !== undefined && !isPromise(main)) {
    return `"${nameText(name)}" is a method of the class ${owner}; methods of a class instance are not exports, only its ` +
      'own properties are: export functions that call them';
  }
  if (isPromise(isOwn ? exported[name] : main)) {
    const subject = isOwn && name !== 'default' ? `"${nameText(name)}"` : mainName;
    return `${subject} is a Promise: ${isEsModule ? 'await it where it is exported' : 'export an async function that awaits it'}`;
  }
  if (list === 'nothing') {
    const kind = kindText(main);
    if (kind !== 'an object') return `${mainName} is ${kind}: export functions, as its own properties`;
    return isEsModule ? 'write export before the functions to call' : ofBundle;
  }
  if (name === 'default' && main !== exported) return 'the default export is not a function: call one of these';
  return '';
}

// `byDefault` is undefined if there is no default export, and `exported` if that is the default export.
runtime.missingExport = (exported, byDefault, isEsModule, name) => {
  try {
    const list = listText(exported, byDefault);
    const advice = adviceText(exported, byDefault ?? exported, isEsModule, name, list);
    return advice === '' ? list : `${list}; ${advice}`;
  } catch {
    return 'names that cannot be listed: its properties throw';
  }
};
