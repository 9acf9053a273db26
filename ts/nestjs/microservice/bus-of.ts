/** The client that a server or a client of Nest works with. */

import type { EventBusConfig } from '../../../index';
import { EventBusClient } from '../../client/client';
import { internalsOf } from '../../client/internals';

export interface UsedBus {
  readonly bus: EventBusClient;
  /** Whether it was made here, and so is ended here. */
  readonly isOwn: boolean;
}

export function busOf(given: unknown): UsedBus {
  if (typeof given === 'object' && given !== null && internalsOf(given) !== undefined) {
    return { bus: given as EventBusClient, isOwn: false };
  }
  return { bus: new EventBusClient(given as EventBusConfig | undefined), isOwn: true };
}
