// From an empty process to a connected client with a confirmed subscription.

import { PATTERN } from '../support/channel.mjs';

export async function run({ load, params }) {
  const started = performance.now();
  const { createBus } = await load();
  const loaded = performance.now();
  const bus = createBus(params.url);
  await bus.connect();
  const connected = performance.now();
  await bus.subscribe(PATTERN, () => {});
  const subscribed = performance.now();
  await bus.close();
  return {
    load: loaded - started,
    connect: connected - loaded,
    subscribe: subscribed - connected,
    total: subscribed - started,
  };
}
