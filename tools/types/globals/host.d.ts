// Timers, microtasks, copies, clocks, the environment, and what CommonJS modules are given.

declare var self: typeof globalThis;

/** A timer's id is a number. A timer does not keep a module alive. */
declare function setTimeout<Values extends any[]>(callback: (...values: Values) => void, delay?: number, ...values: Values): number;
declare function setInterval<Values extends any[]>(callback: (...values: Values) => void, delay?: number, ...values: Values): number;
declare function clearTimeout(id?: number): void;
declare function clearInterval(id?: number): void;

declare function queueMicrotask(callback: () => void): void;

interface StructuredSerializeOptions {
  /** ArrayBuffers and MessagePorts, and nothing else. */
  transfer?: Iterable<Transferable>;
}
declare function structuredClone<T>(value: T, options?: StructuredSerializeOptions): T;

/** Logs an error as what nothing has caught. */
declare function reportError(error: unknown): void;

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

/** There is nothing but `env`. */
declare var process: {
  /** What the operator has set for the module. What a module writes becomes a string, and only its own worker sees it. */
  env: Record<string, string | undefined>;
};

/** Of CommonJS modules. `require` always throws: a module is one file. */
declare var module: { exports: any };
declare var exports: any;
