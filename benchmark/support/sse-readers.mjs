// A process that reads many streams of server-sent events, and publishes ready-made events no further than a window ahead of the
// client that was opened last, which a server writes to last.
//
//   node sse-readers.mjs <redis port> <http port> <clients> <window>

import { once } from 'node:events';
import { connect } from 'node:net';
import { CHANNEL, PATTERN } from './channel.mjs';
import { eventTexts } from './events.mjs';

const [redisPort, httpPort, clients, window] = process.argv.slice(2).map(Number);
const END = Buffer.from('\n\n');

const commands = eventTexts('small').map((text) =>
  Buffer.from(
    `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${Buffer.byteLength(text)}\r\n${text}\r\n`,
  ),
);
const redis = connect(redisPort, '127.0.0.1');
redis.resume();
await once(redis, 'connect');

let received = 0;
let sent = 0;
let running = false;

function fill() {
  const ahead = window - (sent - received);
  if (!running || ahead < window / 2) return;
  redis.write(
    Buffer.concat(Array.from({ length: ahead }, () => commands[sent++ % commands.length])),
  );
}

function countEnds(bytes) {
  let count = 0;
  for (let at = bytes.indexOf(END); at >= 0; at = bytes.indexOf(END, at + 2)) count += 1;
  return count;
}

async function open(counts) {
  const socket = connect(httpPort, '127.0.0.1');
  await once(socket, 'connect');
  const path = `/stream?pattern=${encodeURIComponent(PATTERN)}`;
  socket.write(`GET ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`);
  await once(socket, 'data');
  if (!counts) return socket.resume();
  let rest = Buffer.alloc(0);
  socket.on('data', (part) => {
    const bytes = Buffer.concat([rest, part]);
    received += countEnds(bytes);
    // A half of an end, if it is the last byte.
    const isHalf = bytes.at(-1) === 0x0a && bytes.at(-2) !== 0x0a;
    rest = isHalf ? bytes.subarray(-1) : Buffer.alloc(0);
    fill();
  });
}

process.on('message', async ({ kind }) => {
  if (kind === 'open') {
    for (let n = 1; n < clients; n += 1) await open(n === clients - 1);
  } else if (kind === 'start') {
    running = true;
    // What came before is none of ours, such as `retry`.
    received = sent;
    fill();
  }
});
process.on('disconnect', () => process.exit());
await open(false);
