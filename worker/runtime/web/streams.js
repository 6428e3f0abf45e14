// Streams Standard.
import * as streams from 'web-streams-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals(streams);

export const { ReadableStream, TransformStream, TransformStreamDefaultController, WritableStream } = streams;
