// What a Holdfast module sees. docs/modules.md tells what it means; tests/types checks that what is declared here and in
// globals/ is what there is in a worker.
//
//   import type { Context, HoldfastFunction } from 'holdfast-types';

/// <reference path="globals/ecmascript.d.ts" />
/// <reference path="globals/host.d.ts" />
/// <reference path="globals/console.d.ts" />
/// <reference path="globals/events.d.ts" />
/// <reference path="globals/messages.d.ts" />
/// <reference path="globals/url.d.ts" />
/// <reference path="globals/encoding.d.ts" />
/// <reference path="globals/streams.d.ts" />
/// <reference path="globals/fetch.d.ts" />
/// <reference path="globals/crypto.d.ts" />
/// <reference path="globals/webassembly.d.ts" />

/** What a function may know of its call: its last argument. */
export interface Context {
  /** Of this call alone, and the one by which the log names it. */
  readonly requestId: string;
  readonly module: string;
  readonly version: string;
  /** The name by which the function was called. */
  readonly function: string;
  /** What the operator has set for the module. Frozen, and the same for all calls. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted with a DOMException named AbortError when the call is cancelled, or TimeoutError when its time is over. */
  readonly signal: AbortSignal;
  /** When the call's time is over, in milliseconds as Date.now() counts them. */
  readonly deadline: number;
  /** The milliseconds until then; at least 0. */
  remainingTime(): number;
}

/** A function with one payload and one result. */
export type HoldfastFunction<Payload = unknown, Result = unknown> =
  (payload: Payload, context: Context) => Result | PromiseLike<Result>;

/** A function that is called with positional arguments, such as `holdfast run FILE FUNC --args '[1,2]'`. */
export type HoldfastPositionalFunction<Arguments extends readonly unknown[], Result = unknown> =
  (...values: [...values: Arguments, context: Context]) => Result | PromiseLike<Result>;

/** A function whose result comes in parts, such as an async generator. What a generator returns is the call's answer. */
export type HoldfastStream<Payload = unknown, Value = unknown, Result = unknown> =
  (payload: Payload, context: Context) => HoldfastValues<Value, Result> | PromiseLike<HoldfastValues<Value, Result>>;

/** What a function returns whose result comes in parts: anything with [Symbol.asyncIterator], a ReadableStream too. */
export interface HoldfastValues<Value = unknown, Result = unknown> {
  [Symbol.asyncIterator](): {
    next(): PromiseLike<IteratorResult<Value, Result>>;
    /** Called when the stream is no longer wanted. Of a generator it runs `finally`. */
    return?(value?: any): PromiseLike<unknown>;
  };
}
