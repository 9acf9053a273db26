/** `oxbus/socket.io`: events to the sockets of a Socket.IO server, a hub, and the client of a hub. */

import type { EventBusClient as Contract } from '../index';
import type {
  AttachOptions,
  HubOptions,
  SocketIOBridge,
  SocketIOHub,
  SocketIORoute,
  SocketIOTarget,
} from '../socket.io';
import { stackFromCaller } from './caller-stacks';
import { EventBusClient } from './client/client';
import { bringHubClient } from './client/hub-mode';
import { internalsOf } from './client/internals';
import { invalidAt } from './errors';
import { readAttachOptions, readRoutes } from './socketio/attach-options';
import { Bridge } from './socketio/bridge';
import { HubBus } from './socketio/client/hub-bus';
import { Hub } from './socketio/hub';
import { readHubOptions } from './socketio/hub-options';
import { namespaceOf } from './socketio/server';

// What `new EventBusClient({ mode: 'socket.io' })` returns is one by `instanceof` too; all of its methods are its own.
Object.setPrototypeOf(HubBus.prototype, EventBusClient.prototype);
bringHubClient((config) => new HubBus(config) as unknown as Contract);

export function attachSocketIO<Events, Received>(
  bus: Contract<Events, Received>,
  io: SocketIOTarget,
  routes: readonly SocketIORoute[],
  options?: AttachOptions,
): SocketIOBridge {
  try {
    const settings = readAttachOptions(options);
    return new Bridge(busOf(bus), namespaceOf(io), readRoutes(routes), settings);
  } catch (error) {
    throw stackFromCaller(error, attachSocketIO);
  }
}

export function createHub<Events, Received>(
  io: SocketIOTarget,
  bus: Contract<Events, Received>,
  options?: HubOptions,
): SocketIOHub {
  try {
    return new Hub(namespaceOf(io), busOf(bus), readHubOptions(options));
  } catch (error) {
    throw stackFromCaller(error, createHub);
  }
}

/** A client with a connection of its own: that of a hub does not stand for a bus. */
function busOf(bus: object): Contract {
  if (internalsOf(bus) !== undefined) return bus as Contract;
  throw invalidAt(
    'ERR_BUS_INVALID_OPTIONS',
    'bus',
    'must be an EventBusClient with a bus of its own',
  );
}
