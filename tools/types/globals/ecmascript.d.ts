// What V8 10.2 has beyond ES2022, and the stack of errors.

/// <reference lib="es2022" />

interface Array<T> {
  findLast<S extends T>(predicate: (value: T, index: number, array: T[]) => value is S, thisArg?: any): S | undefined;
  findLast(predicate: (value: T, index: number, array: T[]) => unknown, thisArg?: any): T | undefined;
  findLastIndex(predicate: (value: T, index: number, array: T[]) => unknown, thisArg?: any): number;
}

interface ReadonlyArray<T> {
  findLast<S extends T>(predicate: (value: T, index: number, array: readonly T[]) => value is S, thisArg?: any): S | undefined;
  findLast(predicate: (value: T, index: number, array: readonly T[]) => unknown, thisArg?: any): T | undefined;
  findLastIndex(predicate: (value: T, index: number, array: readonly T[]) => unknown, thisArg?: any): number;
}

interface String {
  isWellFormed(): boolean;
  toWellFormed(): string;
}

interface ErrorConstructor {
  /** Gives `target` a stack; the frames above `constructor` are left out. */
  captureStackTrace(target: object, constructor?: Function): void;
  stackTraceLimit: number;
}
