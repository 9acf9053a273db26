import { EventBusClient } from '../../../index.js';

const open = (redis) => new EventBusClient({ redis, logger: false });

/** Oxbus with its defaults. */
export async function createResponder(url, type, handler) {
  const bus = open(url);
  await bus.respond(type, ({ data }) => handler(data));
  return { close: () => bus.disconnect() };
}

export async function createRequester(url) {
  const bus = open(url);
  await bus.connect();
  return { request: (type, data) => bus.request(type, data), close: () => bus.disconnect() };
}
