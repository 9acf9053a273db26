// A process that publishes ready-made events faster than any subscriber takes them, but never more
// than a window ahead of it: the subscriber returns one byte per `CREDIT` events handled. What is
// ahead fits into every bounded queue, so nothing has a reason to be dropped. With a number of events
// it stops behind them.
//
//   node flood.mjs <port> <payload> <window> [events [contestant]]
//
// A contestant with another wire than that of Oxbus gets its events in it.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { CHANNEL } from './channel.mjs';
import { CREDIT, eventTexts, hasFreshKeys } from './events.mjs';
import { freshKeys } from './rare-shapes.mjs';
import { written } from './wires.mjs';

const BURST = 64;

const [port, payload, window] = [Number(process.argv[2]), process.argv[3], Number(process.argv[4])];
const most = Number(process.argv[5] || Number.POSITIVE_INFINITY);
const inWire = written[process.argv[6]];

const texts = eventTexts(payload);
const commands = (
  inWire === undefined ? texts : texts.map((text) => JSON.stringify(inWire(JSON.parse(text))))
).map((text) => {
  const bytes = Buffer.byteLength(text);
  return `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${bytes}\r\n${text}\r\n`;
});
const bursts = [];
for (let at = 0; at < commands.length; at += BURST) {
  const part = commands.slice(at, at + BURST).map((text) => Buffer.from(text));
  const bytes = Buffer.concat(part);
  let end = 0;
  const ends = part.map(({ length }) => {
    end += length;
    return end;
  });
  // Its bytes wait in the socket, so each sending has a copy of its own where they change.
  bursts.push({ ends, make: hasFreshKeys(payload) ? freshKeys(bytes) : () => bytes });
}

const redis = connect(port, '127.0.0.1');
redis.resume();
let sent = 0;
let credited = 0;
/** The burst that comes next, and how many of its events have been sent. */
let turn = 0;
let begun = 0;
let running = false;

function fill() {
  while (running && !redis.writableNeedDrain) {
    const { ends, make } = bursts[turn % bursts.length];
    const count = Math.min(ends.length - begun, window - (sent - credited), most - sent);
    if (count <= 0) return;
    redis.write(make().subarray(ends[begun - 1] ?? 0, ends[begun + count - 1]));
    sent += count;
    begun += count;
    if (begun === ends.length) {
      begun = 0;
      turn += 1;
    }
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
