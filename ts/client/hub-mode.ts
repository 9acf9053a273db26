/** `mode: 'socket.io'`: a client of a hub, which another entry of the package brings. */

import type { EventBusClient, EventBusConfig } from '../../index';
import { invalidAt } from '../errors';

export type OpenHubClient = (config: EventBusConfig) => EventBusClient;

/** In the entry, so that nobody loads it, or asks for `socket.io-client`, who does not import it. */
let open: OpenHubClient | undefined;

export function bringHubClient(brought: OpenHubClient): void {
  open = brought;
}

/** Whether a configuration asks for the client of a hub. What cannot be read is for others to refuse. */
export function isHubConfig(config: unknown): config is EventBusConfig {
  try {
    return (config as Partial<EventBusConfig> | null | undefined)?.mode === 'socket.io';
  } catch {
    return false;
  }
}

/**
 * Throws `INVALID_CONFIG` where the entry has not been imported, and for a class that extends the client: the client of a hub is
 * another class, and would lack what was added.
 */
export function openHubClient<Client>(config: EventBusConfig, isExtended: boolean): Client {
  if (open !== undefined && !isExtended) return open(config) as Client;
  const message = isExtended
    ? 'the client of a hub cannot be a class that extends EventBusClient'
    : "the client of a hub comes with its entry: import 'oxbus/socket.io' first";
  throw invalidAt('ERR_BUS_INVALID_CONFIG', 'mode', message);
}
