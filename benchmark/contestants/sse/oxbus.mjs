import { once } from 'node:events';
import { createServer } from 'node:http';
import { createHttpHandler } from '../../../http.js';
import { EventBusClient } from '../../../index.js';
import { PATTERN } from '../../support/channel.mjs';

/** Server-sent events of a pattern, by `oxbus/http`. */
export async function createStreamServer(url) {
  const bus = new EventBusClient({ redis: url, logLevel: 'error' });
  await bus.connect();
  const handler = createHttpHandler(bus, {
    authorize: (_, action) => action.name === 'stream' && action.pattern === PATTERN,
  });
  const server = createServer(handler.node).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    clients: () => handler.stats().streamsOpen,
    /** Events, once for each client. */
    sent: () => handler.stats().eventsSent,
    dropped: () => handler.stats().slowClientsDropped,
  };
}
