/**
 * What crosses the boundary (`docs/design/boundary.md`), declared by hand. No other file touches the
 * addon.
 */

import type { ErrorCategory, ErrorCode, LinkName, LogLevel, Outcome } from '../index';

/** An error as a value. */
export interface ErrorValue {
  code: ErrorCode;
  message: string;
  outcome?: Outcome;
  path?: string;
}

/** What a synchronous native function that can fail answers. */
export type NativeResult<T> = { ok: T; error?: undefined } | { error: ErrorValue };

/** The configuration as the engine understood it, as far as JavaScript acts on it. */
export interface Settings {
  serviceName: string;
  mode: 'redis' | 'memory';
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
}

/** What differs from the plain case, for the events of one run. */
export interface RunInfo {
  attempt?: number;
  channel?: string;
  pattern?: number;
}

/** An event as it comes in. The engine has filled in what every event has. */
export interface RawEvent {
  id: string;
  type: string;
  data: unknown;
  metadata: { timestamp: string; source: string; correlationId: string; [extra: string]: unknown };
}

/** `[batch, firstIndex, timestamp, id, receivers, id, receivers, …]` */
export type PublishedRun = [number, number, string, ...(string | number)[]];
/** `[sub, firstToken, info, event, event, …]`; an event is an object, or what `readEvent` puts together. */
export type DeliveryRun = [number, number, RunInfo | 0, ...unknown[]];
/** `[type, timestamp, source, instanceId, flags]`: what events of a drain have in common. */
export type Shape = [string, string, string, string, number];

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
  | { event: 'circuit'; subscription: number; state: 'open' | 'half-open' | 'closed' }
  | { event: 'warning'; code: string; message: string }
  | { event: 'log'; level: LogLevel; message: string; fields?: Record<string, unknown> };

/** Everything that is ready, as one drain hands it over. */
export interface Drained {
  p?: PublishedRun[];
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

/** A memory broker. */
export type NativeBroker = object;

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
  pause(sub: number, paused: boolean): void;
  settle(records: Uint32Array, count: number): void;
  stats(): string;
  health(ticket: number): void;
  drain(): string;
  destroy(): void;
}

interface NativeModule {
  errorCodes(): string;
  settings(config: string, env: string): string;
  escapePattern(text: string): string;
  validate(what: 'event' | 'type' | 'metadata' | 'timestamp' | 'pattern', text: string): string;
  NativeBroker: new () => NativeBroker;
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
