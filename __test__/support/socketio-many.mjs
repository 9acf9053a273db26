// Many clients of a hub lose their connections in the same moment, and come back. Prints what they have then, as JSON.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { EventBusClient } from '../../index.js';
import { createHub } from '../../socket.io.js';

const most = Number(process.argv[2]);
const rooms = 50;
/** How many come at a time at first: a call fails that takes 5 s, and what is tested is that all come *back* at once. */
const wave = 25;
const bus = new EventBusClient({ mode: 'memory', logLevel: 'error' });
await bus.connect();
const http = createServer().listen(0, '127.0.0.1');
await once(http, 'listening');
const io = new Server(http, { transports: ['websocket'] });
const hub = createHub(io, bus, { authorize: () => true });
const url = `http://127.0.0.1:${http.address().port}`;

/** The deadline is that of the process. */
async function until(check) {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 10));
}

let gaps = 0;
let heard = 0;
const counts = new Array(most).fill(0);
const clients = [];
for (let n = 0; n < most; n += 1) {
  const socketIO = { url, transports: ['websocket'] };
  const client = new EventBusClient({ mode: 'socket.io', logLevel: 'silent', socketIO });
  client.on('gap', () => {
    gaps += 1;
  });
  const subscribed = client.subscribe('tick', () => {
    heard += 1;
    counts[n] += 1;
  });
  clients.push(subscribed, client.joinRoom(`room-${n % rooms}`, { member: `m${n}` }));
  if (n % wave === wave - 1) await Promise.all(clients.splice(0));
}
for (const socket of io.of('/').sockets.values()) socket.conn.close();
await until(() => gaps === most);
const wanted = most + most / rooms;
await bus.publish('tick', 1);
await bus.publishToRoom('room-7', 'tick', 2);
await until(() => heard >= wanted);
const members = (await bus.getRoomMembers('room-7')).length;
const twice = counts.filter((count) => count === 2).length;
process.stdout.write(JSON.stringify({ stats: hub.stats(), heard, twice, members }));
process.exit(0);
