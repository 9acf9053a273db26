// A bus on `Cluster` of ioredis. It finds the node of each stream; a read waits for one stream, as a command has keys of one slot.

import { Cluster } from 'ioredis';
import { createEvent, decodeEntry, encodeEntry, fieldsOf } from '../streams/entry.mjs';
import { createGroup, gathered, readArguments } from '../streams/ioredis.mjs';
import { createWindow } from '../streams/window.mjs';

const BATCH = 100;
const MAX_LENGTH = 1_000_000;

const open = ({ nodes }, options) =>
  new Cluster(
    nodes.map((node) => {
      const [host, port] = node.split(':');
      return { host, port: Number(port) };
    }),
    { lazyConnect: true, ...options },
  );

/** Stores events by one XADD each, like the calls of a service. */
export function createStore(target, { streams }) {
  const client = open(target, { enableAutoPipelining: true });
  const names = new Map(streams.map(({ name, type }) => [type, name]));
  return {
    connect: () => client.connect(),
    publish(type, data) {
      const fields = Object.entries(encodeEntry(createEvent('benchmark', type, data))).flat();
      return client.xadd(names.get(type), 'MAXLEN', '~', MAX_LENGTH, '*', ...fields);
    },
    close: () => client.quit(),
  };
}

/**
 * Consumes by a loop for each stream, each with as many handlers at once as are asked for in all, and one XACK for all events
 * of a stream that ended together. No renewal of claims, no retries, no dead letters, no timeouts.
 */
export function createConsumer(target, { streams, group, concurrency }) {
  const commands = open(target, { enableAutoPipelining: true });
  let unanswered = 0;
  const answered = () => {
    unanswered -= 1;
  };
  const loops = streams.map(({ name }) => {
    // Streams of one node would wait for each other on one connection.
    const reader = open(target);
    const read = async () => {
      const answer = await reader.xreadgroup(...readArguments(name, group, BATCH));
      if (!answer) return [];
      return answer[0][1].map(([id, flat]) => ({ id, event: () => decodeEntry(fieldsOf(flat)) }));
    };
    const acknowledge = gathered((ids) => {
      unanswered += 1;
      commands.xack(name, group, ...ids).then(answered, console.error);
    });
    return { name, reader, window: createWindow(read, acknowledge, concurrency) };
  });
  return {
    async start(handler) {
      await commands.connect();
      for (const { name, reader, window } of loops) {
        await reader.connect();
        await createGroup(commands, name, group, '0');
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
