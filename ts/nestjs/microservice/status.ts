/** The status of a server or a client of Nest, by the events of its bus. */

import type { ClientEvents, EventBusClient } from '../../../index';
import type { OxbusStatus } from '../../../nestjs';

const STATUS: readonly (readonly [keyof ClientEvents, OxbusStatus])[] = [
  ['ready', 'connected'],
  ['disconnected', 'reconnecting'],
  ['reconnecting', 'reconnecting'],
  ['closed', 'disconnected'],
];

/** Tells the status from now on, at once where the bus is connected. Returns what ends that. */
export function followStatus(bus: EventBusClient, tell: (status: OxbusStatus) => void): () => void {
  const listeners = STATUS.map(([event, status]) => [event, () => tell(status)] as const);
  for (const [event, listener] of listeners) bus.on(event, listener);
  if (bus.state === 'ready') tell('connected');
  return () => {
    for (const [event, listener] of listeners) bus.off(event, listener);
  };
}
