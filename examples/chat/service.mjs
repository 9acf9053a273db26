// How both services connect to the hub.

import { EventBusClient } from '../../index.js';
// It brings `mode: 'socket.io'`.
import '../../socket.io.js';

export async function openService(serviceName) {
  const { CHAT_URL, CHAT_TOKEN } = process.env;
  const bus = new EventBusClient({
    mode: 'socket.io',
    serviceName,
    logLevel: 'error',
    socketIO: { url: CHAT_URL, auth: { token: CHAT_TOKEN } },
  });
  await bus.connect();
  process.once('SIGTERM', () => bus.disconnect());
  return bus;
}
