// A process that publishes ready-made events faster than any subscriber takes them, but never more
// than a window ahead of it: the subscriber returns one byte per `CREDIT` events handled. What is
// ahead fits into every bounded queue, so nothing has a reason to be dropped. With a number of events,
// a multiple of 64, it stops behind them.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { CHANNEL } from './channel.mjs';
import { CREDIT, eventTexts } from './events.mjs';

const BURST = 64;

const [port, payload, window] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const most = Number(process.argv[5] ?? Number.POSITIVE_INFINITY);

const commands = eventTexts(payload).map((text) => {
  const bytes = Buffer.byteLength(text);
  return `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${bytes}\r\n${text}\r\n`;
});
const bursts = [];
for (let at = 0; at < commands.length; at += BURST) {
  const part = commands.slice(at, at + BURST);
  bursts.push({ bytes: Buffer.from(part.join('')), count: part.length });
}

const redis = connect(port, '127.0.0.1');
redis.resume();
let sent = 0;
let credited = 0;
let turn = 0;
let running = false;

function fill() {
  while (running && sent < most && sent - credited < window && !redis.writableNeedDrain) {
    const { bytes, count } = bursts[turn % bursts.length];
    turn += 1;
    sent += count;
    redis.write(bytes);
  }
}
redis.on('drain', fill);

const credits = createServer((socket) => {
  socket.on('error', () => {});
  socket.on('data', (bytes) => {
    credited += bytes.length * CREDIT;
    // With a number of events nobody else says when the subscriber is there.
    running ||= Number.isFinite(most);
    fill();
  });
}).listen(0, '127.0.0.1');
await Promise.all([once(credits, 'listening'), once(redis, 'connect')]);

process.on('message', ({ kind }) => {
  running = kind === 'start';
  if (running) return fill();
  process.send({ kind: 'sent', sent });
});
process.on('disconnect', () => process.exit());
process.send({ kind: 'listening', port: credits.address().port });
