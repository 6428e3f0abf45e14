// Streams Standard.
import * as streams from 'web-streams-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals(streams);
// The standard had it once.
delete streams.WritableStreamDefaultController.prototype.abortReason;

export const {
  ReadableStream, ReadableStreamDefaultController, TransformStream, TransformStreamDefaultController, WritableStream,
} = streams;
