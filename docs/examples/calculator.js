'use strict';

// A first module: every property of the exported object that is a function can be called from outside. A function
// gets the call's payload and a context, and what it returns (or its promise settles to) is the call's result.
const calculator = module.exports = {};

calculator.add = async ({ a, b }) => a + b;

calculator.subtract = async ({ a, b }) => a - b;

calculator.multiply = async ({ a, b }) => a * b;

calculator.divide = async ({ a, b }) => {
  if (b === 0) throw new RangeError(`cannot divide ${a} by zero`);
  return a / b;
};
