// Lines that the compiler must refuse: if it accepts one, that is an error, "Unused '@ts-expect-error' directive".
import type { Context, HoldfastFunction, HoldfastPositionalFunction, HoldfastStream } from 'holdfast-types';

export function globals(): void {
  // @ts-expect-error: there is no document
  document.title;
  // @ts-expect-error: there is no window
  window;
  // @ts-expect-error: there are no threads
  new Worker('x.js');
  // @ts-expect-error: there is no network but what fetch says of it
  new XMLHttpRequest();
  // @ts-expect-error: there is no network
  new WebSocket('wss://a.example');
  // @ts-expect-error: nothing of Node.js
  Buffer.from('x');
  // @ts-expect-error: process has env alone
  process.exit(1);
  // @ts-expect-error: one file to a module
  require('fs');
  // @ts-expect-error: no other realms
  new BroadcastChannel('name');
  // @ts-expect-error: of browsers
  setImmediate(() => {});
  // @ts-expect-error: there are no blob: URLs
  URL.createObjectURL(new Blob());
  // @ts-expect-error: ES2023, which V8 10.2 does not have
  [1].toSorted();
  // @ts-expect-error: ES2024, which V8 10.2 does not have
  Promise.withResolvers();
  // @ts-expect-error: nothing but the user agent
  navigator.language;
  // @ts-expect-error: nothing but the clock
  performance.mark('x');
}

export function uses(context: Context): void {
  // @ts-expect-error: what a context has cannot be changed
  context.requestId = 'mine';
  // @ts-expect-error: frozen
  context.env.REGION = 'eu';
  // @ts-expect-error: it may not be set
  const region: string = context.env.LANGUAGE;
  // @ts-expect-error: a method
  const left: number = context.remainingTime;
  // @ts-expect-error: there is no such thing
  context.waitUntil(Promise.resolve());
  // @ts-expect-error: made by the call alone
  new AbortSignal();
  // @ts-expect-error: only made by crypto.subtle
  new CryptoKey();
  // @ts-expect-error: the promise is needed
  new PromiseRejectionEvent('unhandledrejection');
  // @ts-expect-error: code as text
  setTimeout('code()', 10);
  // @ts-expect-error: an error's event has no promise
  addEventListener('error', (event) => event.promise);
  // @ts-expect-error: not a format
  new CompressionStream('brotli');
  // @ts-expect-error: not an algorithm here
  crypto.subtle.digest('MD5', new Uint8Array(1));
  // @ts-expect-error: streams are not transferred
  structuredClone(1, { transfer: [new ReadableStream()] });
  // @ts-expect-error: nor here
  new MessageChannel().port1.postMessage(1, [new ReadableStream()]);
  // @ts-expect-error: ports are made by channels
  new MessagePort();
  // @ts-expect-error: no window, and no worker, can be a source
  new MessageEvent('message', { source: globalThis });
  void [region, left];
}

// @ts-expect-error: the result is a number
export const result: HoldfastFunction<null, number> = () => 'text';
// @ts-expect-error: the payload is a string
export const payload: HoldfastFunction<string, number> = (value: number) => value;
// @ts-expect-error: the context comes last
export const positional: HoldfastPositionalFunction<[string], string> = (context: Context) => context.requestId;
// @ts-expect-error: one value is no stream
export const stream: HoldfastStream<null, number> = async () => 1;
// @ts-expect-error: its values are numbers
export const values: HoldfastStream<null, number> = async function* () { yield 'text'; };
