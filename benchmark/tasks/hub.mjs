// A Socket.IO server as the hub of two services, which another process runs.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server } from 'socket.io';

export async function run({ contestant, params, parent }) {
  const http = createServer().listen(0, '127.0.0.1');
  await once(http, 'listening');
  const { serve } = await import(`../contestants/hub/${contestant}.mjs`);
  await serve(new Server(http, { transports: ['websocket'] }), params.url);
  parent.send({ kind: 'serving', port: http.address().port });
  await parent.next('end');
}
