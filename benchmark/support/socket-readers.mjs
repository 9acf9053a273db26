// A process that has many sockets of a Socket.IO server, over connections of its own that only count, and that publishes events no
// further than a window ahead of what they have got.
//
//   node socket-readers.mjs <redis port> <http port> <sockets> <rooms> <window> <'all' | 'rooms'> <'publish' | 'tell'>

import { once } from 'node:events';
import { connect } from 'node:net';
import { CHANNEL } from './channel.mjs';
import { roomTexts } from './room-events.mjs';

const [redisPort, httpPort, sockets, rooms, window] = process.argv.slice(2, 7).map(Number);
const [kind, how] = process.argv.slice(7);
/** Sockets that count for a round over all rooms. */
const perEvent = kind === 'all' ? rooms : sockets;
const MARK = Buffer.from('42["shipped"');

const commands = roomTexts(rooms).map((text) =>
  Buffer.from(
    `*3\r\n$7\r\nPUBLISH\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$${Buffer.byteLength(text)}\r\n${text}\r\n`,
  ),
);
const redis = connect(redisPort, '127.0.0.1');
redis.resume();
await once(redis, 'connect');

let received = 0;
let told = 0;
let sent = 0;
let running = false;
let last;

function fill() {
  if (!running) return;
  if (how === 'tell') {
    if (received - told < window / 2) return;
    told = received;
    send(last, `42["progress",${received}]`);
    return;
  }
  // Where rooms have no socket here, so many of the events are for nobody.
  const ahead = window - Math.ceil(sent - received * Math.max(1, rooms / perEvent));
  if (ahead < window / 2) return;
  redis.write(
    Buffer.concat(Array.from({ length: ahead }, () => commands[sent++ % commands.length])),
  );
}

/** A text as the frame of a client; its mask changes nothing. */
function send(socket, text) {
  const body = Buffer.from(text);
  socket.write(Buffer.concat([Buffer.from([0x81, 0x80 | body.length, 0, 0, 0, 0]), body]));
}

function marks(bytes) {
  let count = 0;
  for (let at = bytes.indexOf(MARK); at >= 0; at = bytes.indexOf(MARK, at + MARK.length))
    count += 1;
  return count;
}

/** Reads until a text has come. */
async function until(socket, text) {
  let read = '';
  while (!read.includes(text)) read += (await once(socket, 'data'))[0].toString('latin1');
}

async function open(n) {
  const socket = connect(httpPort, '127.0.0.1');
  await once(socket, 'connect');
  socket.write(
    'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: upgrade\r\n' +
      'upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  await until(socket, '0{');
  send(socket, '40');
  // Socket.IO closes the connection of one that says more before it is connected.
  await until(socket, '40{');
  if (kind === 'rooms') send(socket, `42["room",${n % rooms}]`);
  last = socket;
  // Of events to all the socket that is written to last counts.
  if (kind === 'all' && n < sockets - 1) return socket.resume();
  let rest = Buffer.alloc(0);
  socket.on('data', (part) => {
    const bytes = rest.length === 0 ? part : Buffer.concat([rest, part]);
    const count = marks(bytes);
    const end = count === 0 ? 0 : bytes.lastIndexOf(MARK) + MARK.length;
    // A part of a mark, if there is one at the end.
    rest = bytes.subarray(Math.max(end, bytes.length - MARK.length + 1));
    received += count;
    fill();
  });
}

process.on('message', async ({ kind: message }) => {
  if (message === 'open') {
    for (let n = 0; n < sockets; n += 1) await open(n);
    process.send({ kind: 'opened' });
  } else if (message === 'start') {
    running = true;
    received = 0;
    if (how === 'tell') send(last, '42["progress",0]');
    else fill();
  }
});
process.on('disconnect', () => process.exit());
