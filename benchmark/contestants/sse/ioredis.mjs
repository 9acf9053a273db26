import { once } from 'node:events';
import { createServer } from 'node:http';
import { Redis } from 'ioredis';
import { PATTERN } from '../../support/channel.mjs';

/** Server-sent events as users write them: the text of an event is made once, and written to one client after the other. */
export async function createStreamServer(url) {
  const subscriber = new Redis(url, { lazyConnect: true });
  await subscriber.connect();
  const clients = new Set();
  let sent = 0;
  subscriber.on('pmessage', (_pattern, _channel, text) => {
    const event = JSON.parse(text);
    const message = `id: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
    for (const response of clients) response.write(message);
    sent += clients.size;
  });
  await subscriber.psubscribe(PATTERN);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write('retry: 2000\n\n');
    clients.add(response);
    response.on('close', () => clients.delete(response));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    clients: () => clients.size,
    sent: () => sent,
    dropped: () => 0,
  };
}
