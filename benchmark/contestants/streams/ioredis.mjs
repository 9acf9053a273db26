import { Redis } from 'ioredis';
import { createEvent, decodeEntry, encodeEntry, fieldsOf } from './entry.mjs';
import { createWindow } from './window.mjs';

const BATCH = 100;
const BLOCK_MS = 1000;
const MAX_LENGTH = 1_000_000;

const open = (url, options) => new Redis(url, { lazyConnect: true, ...options });

/**
 * Stores events by one XADD each, like the calls of a service. With `realtime` the PUBLISH is sent
 * along without waiting: it goes out even when the XADD is refused.
 */
export function createStore(url, { stream, realtime }, { autoPipelining = false } = {}) {
  const client = open(url, { enableAutoPipelining: autoPipelining });
  const add = (event) =>
    client.xadd(
      stream,
      'MAXLEN',
      '~',
      MAX_LENGTH,
      '*',
      ...Object.entries(encodeEntry(event)).flat(),
    );
  return {
    connect: () => client.connect(),
    publish(type, data) {
      const event = createEvent('benchmark', type, data);
      if (!realtime) return add(event);
      return Promise.all([add(event), client.publish(type, JSON.stringify(event))]);
    },
    close: () => client.quit(),
  };
}

/** Creates a group where there is none. */
export async function createGroup(client, stream, group, start) {
  try {
    await client.xgroup('CREATE', stream, group, start, 'MKSTREAM');
  } catch (error) {
    if (!error.message.startsWith('BUSYGROUP')) throw error;
  }
}

/** Arguments of a read of new entries that waits for the first one. */
export const readArguments = (stream, group, count) =>
  `GROUP ${group} benchmark-1 COUNT ${count} BLOCK ${BLOCK_MS} STREAMS ${stream} >`.split(' ');

/**
 * Consumes by a loop for each group, each on a connection of its own, and acknowledges each event
 * when its handler has ended, all of a tick in one pipeline. No renewal of claims, no retries, no
 * dead letters, no timeouts.
 */
export function createConsumer(url, { stream, groups, concurrency }, { grouped = false } = {}) {
  const places = groups.map((group) => ({ stream, group }));
  return consumerOf((options) => open(url, options), places, { concurrency, grouped });
}

/** Consumes by a loop for each place, `{ stream, group }`. `grouped`: one XACK for all that ended in a turn of the event loop. */
export function consumerOf(connect, places, { concurrency, grouped }) {
  const commands = connect({ enableAutoPipelining: true });
  let unanswered = 0;
  const answered = () => {
    unanswered -= 1;
  };
  const loops = places.map(({ stream, group }) => {
    const reader = connect();
    const read = async () => {
      const answer = await reader.xreadgroup(...readArguments(stream, group, BATCH));
      if (!answer) return [];
      return answer[0][1].map(([id, flat]) => ({ id, event: () => decodeEntry(fieldsOf(flat)) }));
    };
    const send = (ids) => {
      unanswered += 1;
      commands.xack(stream, group, ...ids).then(answered, console.error);
    };
    const acknowledge = grouped ? gathered(send) : (id) => send([id]);
    return { stream, group, reader, window: createWindow(read, acknowledge, concurrency) };
  });
  return {
    async start(handler) {
      await commands.connect();
      for (const { stream, group, reader, window } of loops) {
        await reader.connect();
        await createGroup(commands, stream, group, '0');
        window.start(handler);
      }
    },
    async close() {
      await Promise.all(loops.map(({ window }) => window.stop()));
      do await new Promise((resolve) => setImmediate(resolve));
      while (unanswered > 0);
      await commands.quit();
      for (const { reader } of loops) reader.disconnect();
      await Promise.all(loops.map(({ window }) => window.ended()));
    },
  };
}

/** One XACK for everything that ended in a turn of the event loop. */
function gathered(send) {
  let ids = [];
  return (id) => {
    if (ids.push(id) > 1) return;
    setImmediate(() => {
      const all = ids;
      ids = [];
      send(all);
    });
  };
}
