// Streams that transform data, made of the bundle's TransformStream: for classes that have `readable` and `writable`
// (Streams Standard, 9.3, GenericTransformStream).
//
// Evaluated after the bundle of web/ (TransformStream).
'use strict';

const { getOwnPropertyDescriptor } = Object;
const { apply } = Reflect;
const TransformStreamConstructor = TransformStream;
const enqueue = TransformStreamDefaultController.prototype.enqueue;
const getReadable = getOwnPropertyDescriptor(TransformStream.prototype, 'readable').get;
const getWritable = getOwnPropertyDescriptor(TransformStream.prototype, 'writable').get;

// Makes the two ends, and adds `rest`, what else the class keeps. transform(chunk, send) and flush(send) may call
// send(value) any number of times. What they throw is the stream's error.
function makeTransform(transform, flush, rest) {
  let controller;
  const send = (value) => apply(enqueue, controller, [value]);
  const stream = new TransformStreamConstructor({
    __proto__: null,
    start(given) { controller = given; },
    transform(chunk) { transform(chunk, send); },
    flush() { flush(send); },
  });
  return {
    __proto__: null, readable: apply(getReadable, stream, []), writable: apply(getWritable, stream, []), rest,
  };
}

runtime.transforms = { makeTransform };
