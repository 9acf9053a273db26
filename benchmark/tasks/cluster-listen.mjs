// Listens to live events by several clients, and counts what arrives at all of them together.

import { Redis } from 'ioredis';
import { loadCluster } from '../support/contestants.mjs';

const ATTEMPTS = 60;

export async function run({ contestant, params, parent }) {
  const { target, patterns, isPlaced } = params;
  const { createBus } = await loadCluster(contestant);
  const servers = target.nodes.map((node) => new Redis(`redis://${node}`));
  let count = 0;
  const clients = [];
  let attempts = 0;
  while (clients.length < patterns.length) {
    attempts += 1;
    if (attempts > ATTEMPTS) throw new Error('the clients do not spread over the masters');
    const bus = createBus(target);
    await bus.connect();
    for (const pattern of patterns[clients.length]) {
      await bus.subscribe(pattern, () => {
        count += 1;
      });
    }
    // One client for each master: another one tries where two have met.
    if (isPlaced && (await heardAt(servers)) <= clients.length) await bus.close();
    else clients.push(bus);
  }
  for (const server of servers) server.disconnect();
  parent.send({ kind: 'listening' });
  for (;;) {
    const { kind } = await Promise.race([parent.next('count'), parent.next('stop')]);
    if (kind === 'stop') break;
    parent.send({ kind: 'count', count });
  }
  const dropped = clients.reduce((sum, bus) => sum + bus.dropped(), 0);
  await Promise.all(clients.map((bus) => bus.close()));
  return { count, dropped };
}

/** At how many servers somebody listens to events of the benchmark. */
async function heardAt(servers) {
  const heard = await Promise.all(
    servers.map(async (server) => {
      const channels = await server.pubsub('CHANNELS', 'bench.*');
      return channels.length > 0 || (await server.pubsub('NUMPAT')) > 0;
    }),
  );
  return heard.filter(Boolean).length;
}
