// The interface of a Holdfast module. docs/modules.md explains it; tests/types checks that the declarations here and
// in globals/ match what a worker has.
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

/** A function's last argument: facts about its call. */
export interface Context {
  /** Unique to this call; the log shows it, too. */
  readonly requestId: string;
  readonly module: string;
  readonly version: string;
  /** The name by which the function was called. */
  readonly function: string;
  /** The variables that the operator has set for the module. Frozen, and the same for all calls. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborted when the call is cancelled (AbortError, a DOMException) or its deadline has passed (TimeoutError). */
  readonly signal: AbortSignal;
  /** The call's deadline, in milliseconds as Date.now() counts them. */
  readonly deadline: number;
  /** The milliseconds until the deadline; at least 0. */
  remainingTime(): number;
}

/** A function with one payload and one result. */
export type HoldfastFunction<Payload = unknown, Result = unknown> =
  (payload: Payload, context: Context) => Result | PromiseLike<Result>;

/** A function that is called with positional arguments, such as `holdfast run FILE FUNC --args '[1,2]'`. */
export type HoldfastPositionalFunction<Arguments extends readonly unknown[], Result = unknown> =
  (...values: [...values: Arguments, context: Context]) => Result | PromiseLike<Result>;

/** A function whose result comes in parts, such as an async generator, whose return value is the call's answer. */
export type HoldfastStream<Payload = unknown, Value = unknown, Result = unknown> =
  (payload: Payload, context: Context) => HoldfastValues<Value, Result> | PromiseLike<HoldfastValues<Value, Result>>;

/** A result that comes in parts: any object with [Symbol.asyncIterator], including a ReadableStream. */
export interface HoldfastValues<Value = unknown, Result = unknown> {
  [Symbol.asyncIterator](): {
    next(): PromiseLike<IteratorResult<Value, Result>>;
    /** Called when the stream is no longer wanted. In a generator, it runs `finally`. */
    return?(value?: any): PromiseLike<unknown>;
  };
}
