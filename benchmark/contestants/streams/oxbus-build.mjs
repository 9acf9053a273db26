// This file imports no build, so that a process of one build has no other one in its memory.

/** Far above what a benchmark stores, so that trimming is no part of it. */
const MAX_LENGTH = 4_000_000;

/** Makes stores and consumers of a build of Oxbus. */
export function storesOf(Client) {
  const open = (url, { stream, realtime = false, lease }) =>
    new Client({
      serviceName: 'benchmark',
      mode: 'redis',
      redis: url,
      logLevel: 'error',
      streams: [{ name: stream, events: 'bench.*', realtime, maxLength: MAX_LENGTH }],
      ...(lease && { lease }),
    });
  return {
    createStore(url, options) {
      const bus = open(url, options);
      return {
        connect: () => bus.connect(),
        publish: (type, data) => bus.publish(type, data),
        close: () => bus.disconnect(),
      };
    },
    /** One client with a subscription for each group. */
    createConsumer(url, options) {
      const { groups, concurrency } = options;
      const bus = open(url, options);
      return {
        async start(handler) {
          await bus.connect();
          for (const group of groups) {
            await bus.subscribe('bench.*', handler, { group, concurrency, from: 'beginning' });
          }
        },
        close: () => bus.disconnect(),
      };
    },
  };
}
