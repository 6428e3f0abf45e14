// A module as an author writes it: the compiler must accept it, and it must do in a worker what its types say.
import type { Context, HoldfastFunction, HoldfastPositionalFunction, HoldfastStream } from 'holdfast-types';

export const whoAmI: HoldfastFunction<null, Record<string, unknown>> = (_payload, context) => ({
  requestId: typeof context.requestId,
  module: typeof context.module,
  version: typeof context.version,
  function: context.function,
  env: Object.isFrozen(context.env) && context.env.NOT_SET === undefined && process.env.NOT_SET === undefined,
  aborted: context.signal.aborted,
  deadline: Number.isInteger(context.deadline),
  remaining: context.remainingTime() > 0,
});

export const add: HoldfastPositionalFunction<[number, number], number> = (a, b, context) => {
  context.signal.throwIfAborted();
  return a + b;
};

export const count: HoldfastStream<{ to: number }, number, string> = async function* ({ to }, { signal }) {
  for (let i = 1; i <= to && !signal.aborted; i++) yield i;
  return 'done';
};

export const letters: HoldfastStream<string, string> = (text) => ReadableStream.from(text);

// A function needs none of our types.
export async function digest(payload: Uint8Array, context: Context): Promise<Uint8Array> {
  console.debug('%s: %d bytes', context.requestId, payload.byteLength);
  return new Uint8Array(await crypto.subtle.digest('SHA-256', payload));
}

export async function platform(): Promise<Record<string, unknown>> {
  const target = new EventTarget();
  let seen = '';
  target.addEventListener('news', (event) => { seen = (event as CustomEvent<string>).detail; }, { once: true });
  target.dispatchEvent(new CustomEvent('news', { detail: 'heard' }));

  const compressed = new Blob(['to and fro']).stream().pipeThrough(new CompressionStream('gzip'));
  const text = await new Response(compressed.pipeThrough(new DecompressionStream('gzip'))).text();

  const key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify']);
  const signature = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode('text'));

  const form = new FormData();
  form.append('file', new File(['contents'], 'name.txt', { type: 'text/plain' }));
  const file = form.get('file');

  let refused = '';
  try {
    await fetch('https://example.org/');
  } catch (error) {
    if (error instanceof Error) refused = error.name;
  }

  addEventListener('unhandledrejection', ({ promise }) => promise.catch(() => {}), { once: true });
  const channel = new MessageChannel(), carried = new MessageChannel();
  const received = new Promise<MessageEvent<Map<string, number>>>((resolve) => { channel.port2.onmessage = resolve; });
  channel.port1.postMessage(new Map([['a', 5]]), [carried.port1]);
  const { data, ports } = await received;

  const timer: number = setTimeout((value: string) => reportError(value), 1000, 'never');
  clearTimeout(timer);

  return {
    seen,
    text,
    verified: await crypto.subtle.verify('HMAC', key, signature, new TextEncoder().encode('text')),
    file: file instanceof File ? [file.name, file.size] : file,
    refused,
    pattern: new URLPattern({ pathname: '/users/:id' }).exec('https://a.example/users/7')?.pathname.groups.id,
    parsed: URL.parse('/path', 'https://a.example')?.searchParams.size,
    last: [1, 2, 3].findLast((value) => value < 3),
    wellFormed: '\ud800'.isWellFormed(),
    copy: structuredClone(new Map([[1, new Date(0)]])).get(1)?.getTime(),
    message: [data.get('a'), ports[0] instanceof MessagePort],
    agent: navigator.userAgent.startsWith('Holdfast/'),
    now: performance.now() >= 0 && globalThis === self,
    status: Response.json({}, { status: 201, headers: { 'x-a': 'b' } }).headers.get('x-a'),
    reason: AbortSignal.any([AbortSignal.abort(new DOMException('gone', 'AbortError'))]).reason.code,
  };
}

// Only where the profile runs WebAssembly.
export const webAssembly: HoldfastFunction<null, string[]> = () => {
  const empty = new WebAssembly.Module(new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]));
  return Object.keys(new WebAssembly.Instance(empty).exports);
};
