// Streams Standard.
import * as streams from 'web-streams-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals(streams);
// The standard had it once.
delete streams.WritableStreamDefaultController.prototype.abortReason;

// What the iterators of a stream inherit from (Web IDL, 3.7.10.2).
const { getPrototypeOf } = Object;
const iteratorPrototype = getPrototypeOf(new streams.ReadableStream().values());
delete iteratorPrototype[Symbol.asyncIterator];
Object.setPrototypeOf(iteratorPrototype, getPrototypeOf(getPrototypeOf((async function* () {}).prototype)));
Object.defineProperty(iteratorPrototype, Symbol.toStringTag, { value: 'ReadableStream AsyncIterator', configurable: true });

export const {
  ReadableStream, ReadableStreamDefaultController, TransformStream, TransformStreamDefaultController, WritableStream,
} = streams;
