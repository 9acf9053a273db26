import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';

/**
 * A bus with a local side as users write it: handlers are called from a table, and the event goes out by
 * PUBLISH with an id of the process, by which what comes back is dropped.
 */
export function createBus(url) {
  const instanceId = randomUUID();
  const handlers = new Map();
  const open = () => new Redis(url, { lazyConnect: true });
  const [publisher, subscriber] = [open(), open()];
  const call = (handler, event) => {
    try {
      handler(event)?.catch?.(console.error);
    } catch (error) {
      console.error(error);
    }
  };
  const dispatch = (event) => {
    for (const [prefix, list] of handlers) {
      if (event.type.startsWith(prefix)) for (const handler of list) call(handler, event);
    }
  };
  return {
    async connect() {
      subscriber.on('pmessage', (_pattern, _channel, text) => {
        const event = JSON.parse(text);
        if (event.metadata.instanceId !== instanceId) dispatch(event);
      });
      await Promise.all([publisher.connect(), subscriber.connect()]);
    },
    publish(type, data) {
      const metadata = {
        timestamp: new Date().toISOString(),
        source: 'benchmark',
        instanceId,
        correlationId: randomUUID(),
      };
      const event = { id: randomUUID(), type, data, metadata };
      dispatch(event);
      return publisher.publish(type, JSON.stringify(event));
    },
    async subscribe(pattern, handler) {
      const prefix = pattern.replace('*', '');
      handlers.set(prefix, [...(handlers.get(prefix) ?? []), handler]);
      await subscriber.psubscribe(pattern);
    },
    async close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
