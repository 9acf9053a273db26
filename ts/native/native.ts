/**
 * The values that cross the boundary (`docs/design/boundary.md`), declared by hand. No other file
 * touches the addon.
 */

import type {
  ErrorCategory,
  ErrorCode,
  LinkName,
  LogLevel,
  Outcome,
  RemoteOutcome,
  StoredError,
} from '../../index';

/** Whom an event is for, when it is not for those who subscribe to its type. */
export type Recipients = 'broadcast' | { room: unknown; except?: unknown } | { user: unknown };

/** An error as a value. */
export interface ErrorValue {
  code: ErrorCode;
  message: string;
  outcome?: Outcome;
  path?: string;
  messageId?: string;
}

/** The result of a synchronous native function that can fail. */
export type NativeResult<T> = { ok: T; error?: undefined } | { error: ErrorValue };

/** The configuration as the engine understood it, as far as JavaScript acts on it. */
export interface Settings {
  serviceName: string;
  mode: 'redis' | 'memory' | 'hybrid';
  memory: string;
  channelPrefix: string;
  inherit: boolean;
  logLevel: LogLevel;
  validateOnReceive: boolean;
  batchSize: number;
  batchInterval: number;
  maxRetries: number;
  retryDelay: number;
  commandTimeout: number;
  maxEventBytes: number;
  maxDataBytes: number;
  notices: { level: 'info' | 'warn'; code: string; message: string }[];
}

/** A subscription as the engine accepted it. */
export interface Subscribed {
  sub: number;
  timeout: number;
  retryOnError: boolean;
  maxRetries: number;
  /** The consumer group of a durable subscription. */
  group?: string | null;
  /** Whether the handler is given batches. */
  batch?: boolean;
}

/** The facts of a run that differ from the plain case: first attempt, first pattern, channel of the type. */
export interface RunInfo {
  attempt?: number;
  channel?: string;
  pattern?: number;
  /** Given for a durable run, in which a message id precedes each event. */
  stream?: string;
  group?: string;
  deliveries?: number;
  /** How many events the run has, when they are one call with one token. */
  batch?: number;
  /** The stream of each event of a batch, where they differ. */
  streams?: string[];
}

/** The first argument of a handler: an event, or the events of a batch. */
export type HandlerInput = RawEvent | RawEvent[];

/** An event as it comes in. The engine has filled in what every event has. */
export interface RawEvent {
  id: string;
  type: string;
  data: unknown;
  metadata: { timestamp: string; source: string; correlationId: string; [extra: string]: unknown };
}

/** `[batch, firstIndex, timestamp, id, receivers, id, receivers, …]` */
export type PublishedRun = [number, number, string, ...(string | number)[]];
/**
 * `[batch, firstIndex, timestamp, stream, id, receivers, messageId, duplicate, id, …]`;
 * `duplicate`: 0 or 1
 */
export type StoredRun = [number, number, string, string, ...(string | number)[]];
/**
 * `[batch, index, local, index, local, …]`: to how many subscriptions of this client an event was
 * delivered, in hybrid mode.
 */
export type LocalDeliveryRun = [number, ...number[]];
/** `[batch, index, timestamp, remote, id?]`: a publish that succeeded without the server. */
export type LocalSettlement = [number, number, string, RemoteOutcome, string?];
/**
 * `[sub, firstToken, info, event, event, …]`; an event is an object, or the
 * elements that `deliveries.ts` puts together with its shape.
 */
export type DeliveryRun = [number, number, RunInfo | 0, ...unknown[]];
/** `[type, timestamp, source, instanceId, flags, room?]`: the members that events of a drain share. */
export type Shape = [string, string, string, string, number, string?];

export type Notice =
  | { event: 'ready' }
  | {
      event: 'reconnecting';
      link: LinkName;
      attempt: number;
      delay: number;
      error: ErrorValue;
    }
  | { event: 'disconnected'; link: LinkName; error: ErrorValue }
  | { event: 'closed' }
  | { event: 'error'; error: ErrorValue }
  | {
      event: 'gap';
      from: string;
      to: string;
      patterns: string[];
      recovered: number;
      complete: boolean;
    }
  | {
      event: 'deadLetter';
      stream: string;
      group: string;
      messageId: string;
      attempts: number;
      reason: string;
      error: StoredError;
      /** The event as JSON text. */
      data: string | null;
      kept: boolean;
    }
  | {
      event: 'messagesLost';
      stream: string;
      group: string;
      count: number;
      from: string;
      to: string;
    }
  | { event: 'claimLost'; tokens: number[]; stream: string; group: string; messageId: string }
  | { event: 'groupRecreated'; stream: string; group: string; from: string }
  | { event: 'circuit'; subscription: number; state: 'open' | 'half-open' | 'closed' }
  | { event: 'warning'; code: string; message: string }
  | { event: 'log'; level: LogLevel; message: string; fields?: Record<string, unknown> };

/** Everything that is ready, as one drain hands it over. */
export interface Drained {
  p?: PublishedRun[];
  q?: StoredRun[];
  l?: LocalDeliveryRun[];
  u?: LocalSettlement[];
  f?: [batch: number, index: number, error: ErrorValue][];
  d?: DeliveryRun[];
  s?: Shape[];
  r?: [ticket: number, value: unknown][];
  x?: [ticket: number, error: ErrorValue][];
  n?: Notice[];
}

/** How a handler call ended; the numbers of `settle`. */
export const Settlement = {
  succeeded: 0,
  failed: 1,
  failedFinal: 2,
  retryLater: 3,
  timedOut: 4,
  timedOutFinal: 5,
  zombieEnded: 6,
  notHandled: 7,
} as const;

/** A memory broker; with a virtual clock that only `advance` moves, or with the real one. */
export interface NativeBroker {
  /** Ms since 1970. */
  now(): number;
  /** Sets the virtual clock, and does what is due by then. */
  advance(to: number): void;
  /** When the virtual clock has to stop next; null when nothing waits. */
  nextDue(): number | null;
}

export interface NativeClient {
  readonly instanceId: string;
  state(): string;
  hold(keep: boolean): void;
  connect(ticket: number, timeout: number | null): void;
  waitUntilReady(ticket: number, timeout: number | null): void;
  disconnect(ticket: number, timeout: number | null): void;
  publish(batch: number, count: number, records: string): void;
  cancelPublish(batch: number, index: number): void;
  subscribe(ticket: number, patterns: string, options: string): string;
  unsubscribe(ticket: number, sub: number): void;
  attend(
    ticket: number,
    joins: boolean,
    kind: 'room' | 'user',
    name: string,
    member: string | null,
  ): string;
  hasJoined(): boolean;
  pause(sub: number, paused: boolean): void;
  explain(token: number, error: string): void;
  settle(records: Uint32Array, count: number): void;
  request(ticket: number, method: string, args: string): void;
  isIdle(): boolean;
  stats(): string;
  refreshMetrics(ticket: number): void;
  metrics(): string;
  health(ticket: number): void;
  drain(): string;
  destroy(): void;
}

export interface NativeModule {
  errorCodes(): string;
  settings(config: string, env: string): string;
  escapePattern(text: string): string;
  validate(what: 'event' | 'type' | 'metadata' | 'timestamp' | 'pattern', text: string): string;
  matches(pattern: string, text: string): boolean;
  NativeBroker: new (virtual: boolean) => NativeBroker;
  NativeClient: new (
    config: string,
    env: string,
    broker: NativeBroker | null,
    wake: () => void,
  ) => NativeClient;
}

export const native: NativeModule = require('#native');

/** `[code, category, retryable]` of every error. */
export type ErrorRow = [ErrorCode, ErrorCategory, boolean];
