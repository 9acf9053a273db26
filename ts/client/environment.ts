/** What a client works in: the process, or a test bus with a broker and a clock of its own. */

import type { Instrumentation } from '../instrumentation';
import type { NativeBroker } from '../native/native';
import type { RecordPublished } from '../publish/published-event';
import { processTimers, type Timers } from '../runtime/timers';
import type { VirtualClient } from '../runtime/virtual-time';

interface Parts {
  timers: Timers;
  /** The broker of a memory client; without it the client shares the one that its configuration names. */
  broker: NativeBroker;
  /** Told of every event that this client has published. */
  record: RecordPublished;
  /** Told of every client that is made in this environment. */
  register: (client: VirtualClient) => void;
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
  readonly instrumentation: Instrumentation | undefined;

  constructor({ timers, broker, record, register, instrumentation }: Partial<Parts> = {}) {
    this.timers = timers ?? processTimers;
    this.broker = broker;
    this.record = record;
    this.register = register;
    this.instrumentation = instrumentation;
  }
}

export const processEnvironment = new ClientEnvironment();
