/** What is used of `socket.io-client` 4, which is loaded when a client of a hub connects. */

import { invalidAt } from '../../errors';
import type { HubClientSettings } from './config';

export interface ClientSocket {
  readonly connected: boolean;
  readonly io: { on(name: string, listener: () => void): unknown };
  connect(): unknown;
  disconnect(): unknown;
  emit(name: string, ...args: unknown[]): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own
  on(name: string, listener: (...args: any[]) => void): unknown;
}

type Io = (url: string, options: object) => ClientSocket;

/** A socket that is not connected yet, and that comes back only when it is told to. Throws `INVALID_CONFIG` without the package. */
export function makeSocket(
  settings: HubClientSettings,
  auth: (give: (auth: object) => void) => void,
): ClientSocket {
  const { url, transports, path } = settings;
  return loadIo()(url, {
    auth,
    transports,
    // Where the first one cannot be used, such as behind a proxy without websockets, the next one is.
    tryAllTransports: true,
    ...(path !== undefined && { path }),
    autoConnect: false,
    reconnection: false,
    forceNew: true,
  });
}

function loadIo(): Io {
  try {
    return (require('socket.io-client') as { io: Io }).io;
  } catch (cause) {
    const message = "mode 'socket.io' needs the package socket.io-client 4";
    throw invalidAt('ERR_BUS_INVALID_CONFIG', 'mode', message, cause);
  }
}
