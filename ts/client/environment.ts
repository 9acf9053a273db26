/** What a client works in: the process, or a test bus with a broker and a clock of its own. */

import type { Instrumentation } from '../instrumentation';
import type { HandlerInput, NativeBroker } from '../native/native';
import type { RecordPublished } from '../publish/published-event';
import { processTimers, type Timers } from '../runtime/timers';
import type { VirtualClient } from '../runtime/virtual-time';

/**
 * How long a stored event in hand waits for `next()` once its iterator has ended, in ms. The loop may still work on it, but
 * nothing tells whether there is a loop.
 */
const LAST_NEXT = 1000;

interface Parts {
  timers: Timers;
  /** The broker of a memory client; without it the client shares the one that its configuration names. */
  broker: NativeBroker;
  /** Told of every event that this client has published. */
  record: RecordPublished;
  /** Told of every client that is made in this environment. */
  register: (client: VirtualClient) => void;
  /** Told of every event, or batch, that a handler is called with. */
  delivered: (event: HandlerInput) => void;
  /** Whether subscriptions, iterators and joins keep the process alive; default true. */
  isResident: boolean;
  /** How long the event in hand of an iterator that has ended waits for `next()`, in ms of real time; default 1000. */
  lastNext: number;
  instrumentation: Instrumentation;
}

/**
 * The second, internal argument of a client's constructor. A class, so that nothing else that a caller may pass there
 * by mistake is taken for one.
 */
export class ClientEnvironment {
  readonly timers: Timers;
  readonly broker: NativeBroker | undefined;
  readonly record: RecordPublished | undefined;
  readonly register: ((client: VirtualClient) => void) | undefined;
  readonly delivered: ((event: HandlerInput) => void) | undefined;
  readonly isResident: boolean;
  readonly lastNext: number;
  readonly instrumentation: Instrumentation | undefined;

  constructor(parts: Partial<Parts> = {}) {
    this.timers = parts.timers ?? processTimers;
    this.broker = parts.broker;
    this.record = parts.record;
    this.register = parts.register;
    this.delivered = parts.delivered;
    this.isResident = parts.isResident ?? true;
    this.lastNext = parts.lastNext ?? LAST_NEXT;
    this.instrumentation = parts.instrumentation;
  }
}

export const processEnvironment = new ClientEnvironment();
