// Brings events to the sockets of a Socket.IO server, which another process opens and reads, and which publishes no faster than
// they read.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { Server } from 'socket.io';
import { startMeter } from '../support/meter.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function run({ contestant, params, parent }) {
  const { url, to, sockets, duration, warmUp } = params;
  const http = createServer().listen(0, '127.0.0.1', 1024);
  await once(http, 'listening');
  // No heartbeat comes while it is measured.
  const io = new Server(http, { transports: ['websocket'], pingInterval: 600_000 });
  io.on('connection', (socket) => socket.on('room', (room) => socket.join(`room:${room}`)));
  // Events that somebody here gets are counted where Socket.IO writes them, the same for all.
  let sent = 0;
  const { adapter } = io.of('/');
  const { broadcast } = adapter;
  adapter.broadcast = (packet, options) => {
    const [room] = options.rooms;
    if (room === undefined || adapter.rooms.has(room)) sent += 1;
    return broadcast.call(adapter, packet, options);
  };
  const { attach } = await import(`../contestants/bridge/${contestant}.mjs`);
  await attach(url, io, to, params);
  parent.send({ kind: 'serving', port: http.address().port });
  await parent.next('opened');
  parent.send({ kind: 'measuring' });
  await pause(warmUp);
  const meter = startMeter();
  const from = sent;
  await pause(duration);
  const { rate, cpu } = meter.stop(sent - from);
  const left = io.of('/').sockets.size;
  if (left !== sockets) throw new Error(`${left} sockets are left`);
  return { rate, cpu };
}
