import { GlideClient, Logger } from '@valkey/valkey-glide';
import { dispatch, encodeEvent } from './envelope.mjs';

Logger.init('error');

/** A bus on valkey-glide: one client to publish, one to subscribe. */
export function createBus(url) {
  const { hostname, port } = new URL(url);
  const handlers = new Map();
  let publisher;
  let subscriber;
  const settings = {
    addresses: [{ host: hostname, port: Number(port) }],
    // The default of 250 ms is too short for a busy machine.
    requestTimeout: 5000,
  };
  return {
    async connect() {
      [publisher, subscriber] = await Promise.all([
        GlideClient.createClient(settings),
        GlideClient.createClient({
          ...settings,
          pubsubSubscriptions: {
            channelsAndPatterns: {},
            callback: ({ pattern, message }) => dispatch(handlers.get(pattern) ?? [], message),
          },
        }),
      ]);
    },
    publish: (type, data) => publisher.publish(encodeEvent('benchmark', type, data), type),
    async subscribe(pattern, handler) {
      const known = handlers.get(pattern);
      if (known) return known.push(handler);
      handlers.set(pattern, [handler]);
      await subscriber.psubscribe([pattern], 0);
    },
    async close() {
      publisher.close();
      subscriber.close();
    },
  };
}
