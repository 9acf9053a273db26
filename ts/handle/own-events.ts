/**
 * Events that only the bus itself hears of, such as replies: no code of users runs within their call. So they get no context, no more
 * of them is made than is read, and they are timed together.
 */

import { busError, describe, type EventBusError } from '../errors';
import { type Columns, type OwnEvent, readOwnEvent } from '../native/columns';
import type { DeliveryRun } from '../native/drained';
import { Settlement } from '../native/settlement';
import type { Timers } from '../runtime/timers';
import type { Settlements } from './settlements';
import type { BuildFault } from './unread';

/** What takes such events. It returns at once, and throws only by a fault of the bus. */
export type OwnReceiver = (event: OwnEvent) => void;

/** What a run of such events needs of its dispatcher. */
export interface OwnEventsOwner {
  readonly settlements: Settlements;
  readonly timers: Timers;
  faulty(error: EventBusError): void;
}

/** Takes the events of a run. Returns why one of them could not be built: it and what follows it were not taken. */
export function receiveOwn(
  { settlements, timers, faulty }: OwnEventsOwner,
  receive: OwnReceiver,
  [, firstToken, count]: DeliveryRun,
  columns: Columns,
): BuildFault | undefined {
  const startedAt = timers.now();
  let made = 0;
  let fault: BuildFault | undefined;
  while (made < count) {
    let event: OwnEvent;
    try {
      event = readOwnEvent(columns);
    } catch (error) {
      fault = { error, made };
      break;
    }
    made += 1;
    try {
      receive(event);
    } catch (cause) {
      const message = `an event of the bus itself was not handled: ${describe(cause)}`;
      faulty(busError('ERR_BUS_INTERNAL', message, { cause }));
    }
  }
  const duration = (timers.now() - startedAt) / made;
  for (let index = 0; index < made; index += 1) {
    settlements.add((firstToken + index) >>> 0, Settlement.succeeded, duration, 0);
  }
  return fault;
}
