// The hub: it serves the page, and decides who may do what.

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { EventBusClient } from '../../index.js';
import { createHub } from '../../socket.io.js';

const { REDIS_URL, CHAT_TOKEN, PORT = '3000' } = process.env;

// In hybrid mode the clients of this hub hear each other at once, and those of others through Redis.
const where = REDIS_URL ? { mode: 'hybrid', redis: REDIS_URL } : { mode: 'memory' };
const bus = new EventBusClient({
  serviceName: 'chat-hub',
  logLevel: 'warn',
  shutdownSignals: true,
  ...where,
});
await bus.connect();

const page = await readFile(new URL('page.html', import.meta.url));
const http = createServer((_request, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8').end(page);
});
const io = new Server(http);

createHub(io, bus, {
  authorize({ auth }, action) {
    // Services have the token, and may do anything.
    if (auth.token !== undefined) {
      if (auth.token !== CHAT_TOKEN) return false;
      return action.name === 'publish' ? { options: action.options } : true;
    }
    // A page says who it is; here it is believed.
    if (typeof auth.name !== 'string' || !/^\w{1,20}$/.test(auth.name)) return false;
    switch (action.name) {
      case 'connect':
        return true;
      case 'subscribe':
        return action.by === 'type' && ['chat.said', 'chat.count'].includes(action.pattern);
      case 'publish':
        // It cannot speak for somebody else: `userId` is set here.
        return (
          (action.type === 'chat.joined' || action.type === 'chat.said') && {
            options: { userId: auth.name },
          }
        );
      case 'join':
        return 'room' in action && action.member === auth.name;
      default:
        return true;
    }
  },
});

http.listen(Number(PORT), '127.0.0.1');
await once(http, 'listening');
console.log(`http://127.0.0.1:${http.address().port}`);
bus.once('closed', () => process.exit());
