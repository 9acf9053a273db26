// This file imports no build, so that a process of one build has no other one in its memory.

/** Makes buses of a build of Oxbus. */
export const busOf =
  (Client) =>
  (url, options = {}) => {
    const bus = new Client({
      serviceName: 'benchmark',
      mode: 'redis',
      redis: url,
      logLevel: 'error',
      ...options,
    });
    return {
      connect: () => bus.connect(),
      publish: (type, data) => bus.publish(type, data),
      subscribe: (pattern, handler, given) => bus.subscribe(pattern, handler, given),
      replay: (query) => bus.replay(query),
      getHistory: (query) => bus.getHistory(query),
      received: () => bus.getStats().eventsReceived,
      dropped: () => bus.getStats().eventsDropped,
      close: () => bus.disconnect(),
    };
  };
