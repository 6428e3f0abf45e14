// Timers, microtasks, copies, clocks, the environment, and the variables of CommonJS modules.

declare var self: typeof globalThis;

/** A timer's id is a number. A timer does not keep a module alive. */
declare function setTimeout<Values extends any[]>(callback: (...values: Values) => void, delay?: number, ...values: Values): number;
declare function setInterval<Values extends any[]>(callback: (...values: Values) => void, delay?: number, ...values: Values): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;

declare function queueMicrotask(callback: () => void): void;

interface StructuredSerializeOptions {
  /** Only ArrayBuffers and MessagePorts. */
  transfer?: Iterable<Transferable>;
}
declare function structuredClone<T>(value: T, options?: StructuredSerializeOptions): T;

/** Fires `error` at the global object; logs the error as uncaught unless a listener calls preventDefault(). */
declare function reportError(error: unknown): void;

// The global object is an EventTarget. After preventDefault() on an event that is fired there, the error is not
// logged and fails no call.
interface GlobalEventMap {
  error: ErrorEvent;
  unhandledrejection: PromiseRejectionEvent;
  rejectionhandled: PromiseRejectionEvent;
}
declare function addEventListener<Type extends keyof GlobalEventMap>(type: Type, listener: (event: GlobalEventMap[Type]) => void, options?: AddEventListenerOptions | boolean): void;
declare function addEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: AddEventListenerOptions | boolean): void;
declare function removeEventListener<Type extends keyof GlobalEventMap>(type: Type, listener: (event: GlobalEventMap[Type]) => void, options?: EventListenerOptions | boolean): void;
declare function removeEventListener(type: string, listener: EventListenerOrEventListenerObject | null, options?: EventListenerOptions | boolean): void;
declare function dispatchEvent(event: Event): boolean;

/** Returns true if it has handled the error. */
declare var onerror: ((message: string | Event, file?: string, line?: number, column?: number, error?: unknown) => any) | null;
declare var onunhandledrejection: ((event: PromiseRejectionEvent) => any) | null;
declare var onrejectionhandled: ((event: PromiseRejectionEvent) => any) | null;

interface Navigator {
  /** `Holdfast/` and the version. */
  readonly userAgent: string;
}
declare var Navigator: { prototype: Navigator; new(...never: never): Navigator };
declare var navigator: Navigator;

interface Performance extends EventTarget {
  /** Milliseconds since the module's start, in the steps of Date. */
  now(): number;
  readonly timeOrigin: number;
  toJSON(): { timeOrigin: number };
}
declare var Performance: { prototype: Performance; new(...never: never): Performance };
declare var performance: Performance;

/** Has only `env`. */
declare var process: {
  /** The operator's variables. A value that the module writes becomes a string; only its own worker sees it. */
  env: Record<string, string | undefined>;
};

/** For CommonJS modules. `require` always throws: a module is one file. */
declare var module: { exports: any };
declare var exports: any;
