// Events that wait in Redis for a contestant, written outside of the measured time, and what became
// of them. A queue of BullMQ is its own kind of backlog; all others read a stream.

import { once } from 'node:events';
import { connect } from 'node:net';
import { Redis } from 'ioredis';
import { CHANNEL } from './channel.mjs';
import { eventTexts } from './events.mjs';
import { payloads } from './payloads.mjs';

const BURST = 64;
const JOBS = 1000;

/** Runs `body` on a connection of its own. */
export async function withRedis(server, body) {
  const client = new Redis(server.url);
  try {
    return await body(client);
  } finally {
    client.disconnect();
  }
}

/** The fields of an entry as Oxbus writes it, by the text of the event. */
export function entryFields(text) {
  const { id, type, data, metadata } = JSON.parse(text);
  const { timestamp, source, correlationId, ...others } = metadata;
  return [
    ...['eventId', id, 'eventType', type, 'timestamp', timestamp, 'source', source],
    ...['correlationId', correlationId, 'data', JSON.stringify(data)],
    ...['meta', JSON.stringify(others)],
  ];
}

function command(...words) {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${parts.length}\r\n${parts.join('')}`;
}

/** Writes entries through a raw socket, those of one payload in turn, so that the ids of events repeat. */
async function fillStream(server, stream, count, payload, type) {
  const commands = eventTexts(payload, type).map((text) =>
    Buffer.from(command('XADD', stream, '*', ...entryFields(text))),
  );
  const bursts = [];
  for (let at = 0; at < commands.length; at += BURST) {
    const part = commands.slice(at, at + BURST);
    bursts.push({ bytes: Buffer.concat(part), part });
  }
  const socket = connect(server.port, '127.0.0.1');
  await once(socket, 'connect');
  let tail = '';
  const answered = new Promise((resolve, reject) => {
    socket.on('error', reject);
    socket.on('data', (bytes) => {
      tail = (tail + bytes.toString('latin1')).slice(-64);
      const length = /\r\n:(\d+)\r\n$/.exec(tail);
      if (length) resolve(Number(length[1]));
    });
  });
  for (let left = count, turn = 0; left > 0; turn += 1) {
    const { bytes, part } = bursts[turn % bursts.length];
    const last = left < part.length && Buffer.concat(part.slice(0, left));
    if (!socket.write(last || bytes)) await once(socket, 'drain');
    left -= part.length;
  }
  socket.write(command('XLEN', stream));
  const length = await answered;
  socket.destroy();
  if (length !== count) throw new Error(`${length} of ${count} entries were stored`);
}

const streams = {
  fill: fillStream,
  /** Events ever stored, trimmed ones included. */
  stored: (server, stream) =>
    withRedis(
      server,
      async (client) => flat(await client.xinfo('STREAM', stream))['entries-added'],
    ),
  /** Events that a group has read and acknowledged. */
  acknowledged: (server, stream, group) =>
    withRedis(server, async (client) => {
      const groups = (await client.xinfo('GROUPS', stream)).map(flat);
      const found = groups.find(({ name }) => name === group);
      return found ? found['entries-read'] - found.pending : 0;
    }),
  /** Events that a group has read and not acknowledged. */
  pending: (server, stream, group) =>
    withRedis(server, async (client) => (await client.xpending(stream, group))[0]),
};

const flat = (list) =>
  Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]]] : [])));

async function withQueue(server, name, body) {
  const { Queue } = await import('bullmq');
  const queue = new Queue(name, { connection: { host: '127.0.0.1', port: server.port } });
  try {
    return await body(queue);
  } finally {
    await queue.close();
  }
}

const queues = {
  fill: (server, name, count, payload) =>
    withQueue(server, name, async (queue) => {
      const all = payloads(payload);
      let turn = 0;
      const job = () => ({
        name: CHANNEL,
        data: all[turn++ % all.length],
        opts: { removeOnComplete: true },
      });
      for (let left = count; left > 0; left -= JOBS) {
        await queue.addBulk(Array.from({ length: Math.min(JOBS, left) }, job));
      }
    }),
  stored: (server, name) => withQueue(server, name, (queue) => queue.getJobCountByTypes('waiting')),
  /** Jobs that are done: their key is gone, and the ids count up from 1. */
  acknowledged: (server, name) =>
    withQueue(server, name, async (queue) => {
      const added = await withRedis(server, (client) => client.get(queue.toKey('id')));
      return Number(added) - (await queue.getJobCountByTypes());
    }),
};

/** How to fill and to check what a contestant reads from or writes to. */
export const backlogOf = (contestant) => (contestant.startsWith('bullmq') ? queues : streams);

/** Runs `body` and deletes what it left in Redis. */
export async function emptied(server, body) {
  try {
    return await body();
  } finally {
    await withRedis(server, (client) => client.flushall());
  }
}

let turn = 0;
/** A name that no run before had. */
export function freshName() {
  turn += 1;
  return `bench-${process.pid}-${turn}`;
}
