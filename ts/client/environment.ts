/**
 * What a client lives in: the process's clock and timers, or those of a test bus with a broker of
 * its own.
 */

import type { PublishResult } from '../../index';
import type { NativeBroker, RawEvent } from '../native/native';
import { clearTimeout, monotonic, setTimeout } from '../runtime/clock';
import type { Resident } from '../runtime/virtual-time';

/** A timer that was set. */
export interface Timer {
  /** It no longer keeps the process alive. */
  unref(): unknown;
}

/** A clock that only goes forward, in ms, and timers that go by it. */
export interface Timers {
  now(): number;
  set(run: () => void, delay: number): Timer;
  clear(timer: Timer | undefined): void;
}

export const processTimers: Timers = {
  now: monotonic,
  set: (run, delay) => setTimeout(run, delay),
  clear: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
};

/** Told of every event that was published, with its place in the order of publishing. */
export type Recorder = (event: RawEvent, batch: number, index: number) => void;

/** Clients of a test bus have all of it. */
export interface Surroundings {
  timers: Timers;
  broker?: NativeBroker;
  record?: Recorder;
  /** Told of every client that is made here. */
  admit?: (resident: Resident) => void;
}

const ORDINARY: Surroundings = { timers: processTimers };

/** By the configuration of the client: nothing of it can be reached from outside. */
const placed = new WeakMap<object, Surroundings>();

/** The client that is made of this very configuration object lives there. */
export function place(config: object, surroundings: Surroundings): void {
  placed.set(config, surroundings);
}

/** Where a client of this configuration lives. */
export function surroundingsOf(config: unknown): Surroundings {
  return (typeof config === 'object' && config !== null && placed.get(config)) || ORDINARY;
}

/** Members of the metadata that are options of a publish by the same name. */
const NAMED = ['causationId', 'traceparent', 'tracestate', 'userId', 'organizationId', 'key'];

/** The event as the engine has made it of JSON texts of its options and data. */
export function publishedEvent(
  result: PublishResult,
  options: string,
  data: string,
  origin: { source: string; instanceId: string },
): RawEvent {
  const given = options === '' ? {} : JSON.parse(options);
  const metadata: RawEvent['metadata'] = {
    timestamp: result.timestamp,
    source: given.source ?? origin.source,
    instanceId: origin.instanceId,
    correlationId: given.correlationId ?? result.eventId,
  };
  for (const name of NAMED) if (given[name] !== undefined) metadata[name] = given[name];
  Object.assign(metadata, given.metadata);
  return { id: result.eventId, type: result.type, data: JSON.parse(data), metadata };
}
