import { EventBusClient } from '../../index.js';

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
      dropped: () => bus.getStats().eventsDropped,
      close: () => bus.disconnect(),
    };
  };

/** Oxbus with its defaults. */
export const createBus = busOf(EventBusClient);
