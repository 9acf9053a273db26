import { EventBusClient } from '../../../index.js';

/** A client of a room, with Oxbus. */
export function createRoomClient(url) {
  const bus = new EventBusClient({
    serviceName: 'benchmark',
    mode: 'redis',
    redis: url,
    logLevel: 'error',
  });
  return {
    connect: () => bus.connect(),
    subscribe: (pattern, handler) => bus.subscribe(pattern, handler),
    join: (room, member) => bus.joinRoom(room, { member }),
    members: (room) => bus.getRoomMembers(room),
    publish: (room, type, data) => bus.publishToRoom(room, type, data),
    close: () => bus.disconnect(),
  };
}
