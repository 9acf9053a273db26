import { Redis } from 'ioredis';
import { dispatch, encodeEvent } from './envelope.mjs';

/** A bus on ioredis: one connection to publish, one to subscribe, opened when first used. */
export function createBus(url, { autoPipelining = false } = {}) {
  const handlers = new Map();
  let publisher;
  let subscriber;
  const open = () => new Redis(url, { lazyConnect: true, enableAutoPipelining: autoPipelining });
  return {
    async connect() {
      publisher = open();
      subscriber = open();
      subscriber.on('pmessage', (pattern, _channel, text) => dispatch(handlers.get(pattern), text));
      await Promise.all([publisher.connect(), subscriber.connect()]);
    },
    publish: (type, data) => publisher.publish(type, encodeEvent('benchmark', type, data)),
    async subscribe(pattern, handler) {
      const known = handlers.get(pattern);
      if (known) return known.push(handler);
      handlers.set(pattern, [handler]);
      await subscriber.psubscribe(pattern);
    },
    async close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
