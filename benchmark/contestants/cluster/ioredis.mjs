// A bus on `Cluster` of ioredis. It finds the node of each stream; a read waits for one stream, as a command has keys of one slot.

import { Cluster } from 'ioredis';
import { createEvent, encodeEntry } from '../streams/entry.mjs';
import { consumerOf } from '../streams/ioredis.mjs';

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
  const places = streams.map(({ name }) => ({ stream: name, group }));
  // Streams of one node would wait for each other on one connection.
  return consumerOf((options) => open(target, options), places, { concurrency, grouped: true });
}
