import { createClient } from 'redis';
import { createEvent, decodeEntry, encodeEntry } from './entry.mjs';
import { createWindow } from './window.mjs';

const BATCH = 100;
const BLOCK_MS = 1000;
const TRIM = { strategy: 'MAXLEN', strategyModifier: '~', threshold: 1_000_000 };

function open(url) {
  const client = createClient({ url });
  client.on('error', console.error);
  return client;
}

/** As that on ioredis; this client sends everything of a tick together by itself. */
export function createStore(url, { stream, realtime }) {
  const client = open(url);
  const add = (event) => client.xAdd(stream, '*', encodeEntry(event), { TRIM });
  return {
    connect: () => client.connect(),
    publish(type, data) {
      const event = createEvent('benchmark', type, data);
      if (!realtime) return add(event);
      return Promise.all([add(event), client.publish(type, JSON.stringify(event))]);
    },
    close: () => client.close(),
  };
}

/** As that on ioredis. */
export function createConsumer(url, { stream, groups: [group], concurrency }) {
  const commands = open(url);
  const reader = open(url);
  const read = async () => {
    const answer = await reader.xReadGroup(
      group,
      'benchmark-1',
      { key: stream, id: '>' },
      { COUNT: BATCH, BLOCK: BLOCK_MS },
    );
    if (!answer) return [];
    return answer[0].messages.map(({ id, message }) => ({ id, event: () => decodeEntry(message) }));
  };
  const acknowledge = (id) => commands.xAck(stream, group, id).catch(console.error);
  const window = createWindow(read, acknowledge, concurrency);
  return {
    async start(handler) {
      await Promise.all([commands.connect(), reader.connect()]);
      await commands.xGroupCreate(stream, group, '0', { MKSTREAM: true });
      window.start(handler);
    },
    async close() {
      await window.stop();
      // Waits for the answers to every acknowledgement.
      await commands.close();
      reader.destroy();
      await window.ended();
    },
  };
}
