// Streams Standard.
import * as streams from 'web-streams-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals(streams);
// An older edition of the standard had it.
delete streams.WritableStreamDefaultController.prototype.abortReason;

// What the iterators of a stream inherit from (Web IDL, 3.7.10.2).
const { getPrototypeOf } = Object;
const iteratorPrototype = getPrototypeOf(new streams.ReadableStream().values());
delete iteratorPrototype[Symbol.asyncIterator];
Object.setPrototypeOf(iteratorPrototype, getPrototypeOf(getPrototypeOf((async function* () {}).prototype)));
Object.defineProperty(iteratorPrototype, Symbol.toStringTag, { value: 'ReadableStream AsyncIterator', configurable: true });

// The package's classes call each other by these methods of their own. A module that replaced them would be handed
// what the runtime waits for a chunk with.
for (const { prototype } of Object.values(streams)) {
  for (const symbol of Object.getOwnPropertySymbols(prototype ?? {})) {
    if (!symbol.description.startsWith('[[')) continue;
    Object.defineProperty(prototype, symbol, { writable: false, configurable: false });
  }
}

export const {
  ReadableStream, ReadableStreamDefaultController, TransformStream, TransformStreamDefaultController, WritableStream,
} = streams;
