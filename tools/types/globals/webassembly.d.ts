// The WebAssembly JavaScript Interface. It does not exist in the strict profile.

declare namespace WebAssembly {
  type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128' | 'externref' | 'anyfunc';
  type ExternalKind = 'function' | 'table' | 'memory' | 'global' | 'tag';
  type ImportValue = Function | Global | Memory | Table | Tag | number | bigint;
  type Imports = Record<string, Record<string, ImportValue>>;
  type Exports = Record<string, Function | Global | Memory | Table | Tag>;

  interface Module {}
  var Module: {
    prototype: Module;
    new(bytes: BufferSource): Module;
    customSections(module: Module, name: string): ArrayBuffer[];
    exports(module: Module): { name: string; kind: ExternalKind }[];
    imports(module: Module): { module: string; name: string; kind: ExternalKind }[];
  };

  interface Instance {
    readonly exports: Exports;
  }
  var Instance: { prototype: Instance; new(module: Module, imports?: Imports): Instance };

  interface Memory {
    readonly buffer: ArrayBuffer;
    /** Returns -1, as the instruction does, if the module's memory limit has no room. */
    grow(pages: number): number;
  }
  var Memory: { prototype: Memory; new(descriptor: { initial: number; maximum?: number }): Memory };

  interface Table {
    readonly length: number;
    get(index: number): any;
    grow(count: number, value?: any): number;
    set(index: number, value?: any): void;
  }
  var Table: {
    prototype: Table;
    new(descriptor: { element: 'anyfunc' | 'externref'; initial: number; maximum?: number }, value?: any): Table;
  };

  interface Global<T = any> {
    value: T;
    valueOf(): T;
  }
  var Global: { prototype: Global; new<T = any>(descriptor: { value: ValueType; mutable?: boolean }, value?: T): Global<T> };

  interface Tag {}
  var Tag: { prototype: Tag; new(type: { parameters: ValueType[] }): Tag };

  interface Exception extends Error {
    getArg(tag: Tag, index: number): any;
    is(tag: Tag): boolean;
  }
  var Exception: { prototype: Exception; new(tag: Tag, values: any[], options?: { traceStack?: boolean }): Exception };

  interface CompileError extends Error {}
  interface CompileErrorConstructor extends ErrorConstructor {
    readonly prototype: CompileError;
    new(message?: string, options?: ErrorOptions): CompileError;
    (message?: string, options?: ErrorOptions): CompileError;
  }
  var CompileError: CompileErrorConstructor;
  interface LinkError extends Error {}
  interface LinkErrorConstructor extends ErrorConstructor {
    readonly prototype: LinkError;
    new(message?: string, options?: ErrorOptions): LinkError;
    (message?: string, options?: ErrorOptions): LinkError;
  }
  var LinkError: LinkErrorConstructor;
  interface RuntimeError extends Error {}
  interface RuntimeErrorConstructor extends ErrorConstructor {
    readonly prototype: RuntimeError;
    new(message?: string, options?: ErrorOptions): RuntimeError;
    (message?: string, options?: ErrorOptions): RuntimeError;
  }
  var RuntimeError: RuntimeErrorConstructor;

  function validate(bytes: BufferSource): boolean;
  function compile(bytes: BufferSource): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
  function instantiate(bytes: BufferSource, imports?: Imports): Promise<{ module: Module; instance: Instance }>;
}
