// Channels (HTML Standard, 9.1 and 9.4).

interface MessageEventInit<T = any> extends EventInit {
  data?: T;
  origin?: string;
  lastEventId?: string;
  source?: MessagePort | null;
  ports?: Iterable<MessagePort>;
}
interface MessageEvent<T = any> extends Event {
  readonly data: T;
  readonly origin: string;
  readonly lastEventId: string;
  readonly source: MessagePort | null;
  readonly ports: readonly MessagePort[];
  /** @deprecated */
  initMessageEvent(type: string, bubbles?: boolean, cancelable?: boolean, data?: T, origin?: string, lastEventId?: string, source?: MessagePort | null, ports?: Iterable<MessagePort>): void;
}
declare var MessageEvent: {
  prototype: MessageEvent;
  new<T = any>(type: string, init?: MessageEventInit<T>): MessageEvent<T>;
} & EventPhases;

type Transferable = ArrayBuffer | MessagePort;

interface MessagePort extends EventTarget {
  /** Copies the message now, and delivers it in a later turn of the event loop. */
  postMessage(message: unknown, transfer: Iterable<Transferable>): void;
  postMessage(message: unknown, options?: StructuredSerializeOptions): void;
  /** Not needed if `onmessage` is set. */
  start(): void;
  close(): void;
  onmessage: ((this: MessagePort, event: MessageEvent) => any) | null;
  onmessageerror: ((this: MessagePort, event: MessageEvent) => any) | null;
  onclose: ((this: MessagePort, event: Event) => any) | null;
}
declare var MessagePort: { prototype: MessagePort; new(...never: never): MessagePort };

interface MessageChannel {
  readonly port1: MessagePort;
  readonly port2: MessagePort;
}
declare var MessageChannel: { prototype: MessageChannel; new(): MessageChannel };
