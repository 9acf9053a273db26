import { EventBusClient } from '../../../index.js';
import { createHub } from '../../../socket.io.js';

/** A hub whose bus is in hybrid mode, so that its own clients need not wait for Redis. */
export async function serve(io, url) {
  const bus = new EventBusClient({ mode: 'hybrid', redis: url, logLevel: 'error' });
  await bus.connect();
  createHub(io, bus, { authorize: () => true });
}

export async function openService(url) {
  const socketIO = { url, transports: ['websocket'] };
  const bus = new EventBusClient({ mode: 'socket.io', logLevel: 'error', socketIO });
  await bus.connect();
  return {
    subscribe: (type, handler) => bus.subscribe(type, handler),
    publish: (type, data) => bus.publish(type, data),
  };
}
