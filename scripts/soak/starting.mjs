// What the starting worker of `starts.mjs` is: it subscribes to ten types, one after the other, as a service does that
// awaits each of its subscriptions.

export const STREAM = 'soak-starts';
export const GROUP = 'workers';
export const types = Array.from({ length: 10 }, (_, n) => `start.type-${n}`);

/** The configuration of every client; `transport` is `{ mode: 'redis', redis }` or `{ mode: 'memory', memory }`. */
export const clientOptions = (transport) => ({
  serviceName: 'soak-starts',
  ...transport,
  streams: [
    {
      name: STREAM,
      events: 'start.*',
      realtime: false,
      consumerGroups: [{ name: GROUP, from: 'beginning' }],
    },
  ],
  // The lease is short, so that the next worker soon has what a killed one held.
  lease: 2000,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
});

/**
 * Subscribes to all types in the order given, each once the one before is established. So many deaths are no fault of an
 * event: it has retries enough.
 */
export async function subscribeAll(bus, order, handle) {
  for (const type of order) {
    await bus.subscribe(type, handle, { group: GROUP, maxRetries: 100, concurrency: 4 });
  }
}
