import { EventBusClient } from '../../index.js';

/** Oxbus with its defaults. */
export function createBus(url, options = {}) {
  const bus = new EventBusClient({
    serviceName: 'benchmark',
    mode: 'redis',
    redis: url,
    logLevel: 'error',
    ...options,
  });
  return {
    connect: () => bus.connect(),
    publish: (type, data) => bus.publish(type, data),
    subscribe: (pattern, handler) => bus.subscribe(pattern, handler),
    dropped: () => bus.getStats().eventsDropped,
    close: () => bus.disconnect(),
  };
}
