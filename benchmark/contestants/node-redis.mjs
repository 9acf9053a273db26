import { createClient } from 'redis';
import { dispatch, encodeEvent } from './envelope.mjs';

/** A bus on node-redis: one connection to publish, one to subscribe. */
export function createBus(url) {
  let publisher;
  let subscriber;
  return {
    async connect() {
      publisher = createClient({ url });
      subscriber = createClient({ url });
      for (const client of [publisher, subscriber]) client.on('error', console.error);
      await Promise.all([publisher.connect(), subscriber.connect()]);
    },
    publish: (type, data) => publisher.publish(type, encodeEvent('benchmark', type, data)),
    async subscribe(pattern, handler) {
      const handlers = [handler];
      await subscriber.pSubscribe(pattern, (text) => dispatch(handlers, text));
    },
    async close() {
      publisher.destroy();
      subscriber.destroy();
    },
  };
}
