// Parts of newer editions of ECMAScript than V8 10.2 has, which the packages of web/ need and modules may use:
// well-formed strings (ECMAScript 2024, 22.1.3.10 and 22.1.3.33).
//
// It needs no other file. It must be evaluated before derived_events.js, message_event.js and the bundle of web/, which
// take these methods.
'use strict';

const { isWellFormed } = host;
const { apply, defineProperty } = Reflect;
const { replace } = String.prototype;
const StringConstructor = String;
const TypeErrorConstructor = TypeError;

// With the flag "u" it matches surrogates that stand alone, and no others.
const loneSurrogates = /\p{Surrogate}/gu;

function textOf(value, name) {
  if (value === undefined || value === null) {
    throw new TypeErrorConstructor(`String.prototype.${name} called on null or undefined`);
  }
  return typeof value === 'string' ? value : StringConstructor(value);
}

const methods = {
  isWellFormed() { return isWellFormed(textOf(this, 'isWellFormed')); },
  toWellFormed() {
    const text = textOf(this, 'toWellFormed');
    return isWellFormed(text) ? text : apply(replace, text, [loneSurrogates, '\ufffd']);
  },
};
for (const name of ['isWellFormed', 'toWellFormed']) {
  if (String.prototype[name] === undefined) {
    defineProperty(String.prototype, name, { value: methods[name], writable: true, enumerable: false, configurable: true });
  }
}
