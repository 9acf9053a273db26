// A bus over HTTP: a client publishes, another reads server-sent events, loses its connection and comes back.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { createHttpHandler } from '../http.js';
import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const bus = new EventBusClient({
  serviceName: 'gateway',
  ...connection,
  streams: [{ name: `oxbus-example-http:${process.pid}`, events: 'order.*' }],
});
await bus.connect();

const handler = createHttpHandler(bus, {
  // Without it everything but the status is refused.
  authorize: (request, action) =>
    request.headers.get('authorization') === 'Bearer secret' && action.name !== 'metrics',
});
const server = createServer(handler.node).listen(0, '127.0.0.1');
await once(server, 'listening');
const base = `http://127.0.0.1:${server.address().port}`;
const headers = { authorization: 'Bearer secret' };

console.log('status:', (await (await fetch(`${base}/health`)).json()).status);
console.log('without permission:', (await fetch(`${base}/metrics`)).status);

const publish = (orderId) =>
  fetch(`${base}/publish`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify({ type: 'order.placed', payload: { orderId } }),
  });

/** Reads a stream until it has so many events. A browser has `EventSource` for it. */
async function readEvents(count, lastId, ready) {
  const last = lastId === undefined ? {} : { 'last-event-id': lastId };
  const stream = await fetch(`${base}/stream?pattern=order.*`, {
    headers: { ...headers, ...last },
  });
  await ready?.();
  const events = [];
  let text = '';
  for await (const chunk of stream.body) {
    text += Buffer.from(chunk).toString();
    const messages = text.split('\n\n');
    text = messages.pop();
    for (const message of messages) {
      const data = message.split('\n').find((line) => line.startsWith('data: '));
      if (data !== undefined) events.push(JSON.parse(data.slice(6)));
    }
    if (events.length === count) break;
  }
  return events;
}

const [first] = await readEvents(1, undefined, () => publish(1));
await publish(2); // nobody is connected
const missed = await readEvents(2, first.id, () => publish(3));
console.log('after', first.data.orderId, 'came', missed.map(({ data }) => data.orderId).join(', '));

await handler.close();
server.close();
server.closeAllConnections();
await bus.disconnect();
console.log('ok');
