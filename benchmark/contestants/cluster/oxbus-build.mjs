// This file imports no build, so that a process of one build has no other one in its memory.

/** Far above what a benchmark stores, so that trimming is no part of it. */
const MAX_LENGTH = 4_000_000;

/** The option for a Cluster. */
export const inCluster = ({ nodes }) => ({ cluster: { nodes } });

/** Makes buses, stores and consumers of a build of Oxbus, on what `redisOf` makes of the servers of the benchmark. */
export function clientsOf(Client, redisOf) {
  const open = (target, streams = []) =>
    new Client({
      serviceName: 'benchmark',
      mode: 'redis',
      redis: redisOf(target),
      logLevel: 'error',
      streams: streams.map(({ name, events }) => ({
        ...{ name, events, realtime: false, maxLength: MAX_LENGTH },
      })),
    });
  const clientOf = (bus) => ({
    connect: () => bus.connect(),
    publish: (type, data) => bus.publish(type, data),
    subscribe: (pattern, handler) => bus.subscribe(pattern, handler),
    dropped: () => bus.getStats().eventsDropped,
    close: () => bus.disconnect(),
  });
  return {
    createBus: (target) => clientOf(open(target)),
    createStore: (target, { streams }) => clientOf(open(target, streams)),
    /** One subscription to all streams. */
    createConsumer(target, { streams, group, concurrency }) {
      const bus = open(target, streams);
      return {
        async start(handler) {
          await bus.connect();
          await bus.subscribe('bench.*', handler, { group, concurrency, from: 'beginning' });
        },
        close: () => bus.disconnect(),
      };
    },
  };
}
