// Resident memory of clients and of subscriptions.

/** Subscriptions asked for at once. */
const CHUNK = 250;

async function residentKilobytes() {
  for (let round = 0; round < 3; round += 1) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage.rss() / 1024;
}

/**
 * Lets V8's young generation grow to its full size first, as it is in any service that has run for a
 * while. Otherwise whoever makes the most garbage while it subscribes is charged with 16 MB of it.
 */
function growYoungGeneration() {
  let kept = [];
  for (let n = 0; n < 3_000_000; n += 1) {
    kept.push({ n, text: `x${n}` });
    if (kept.length > 200_000) kept = [];
  }
}

export async function run({ load, params }) {
  const { url, clients, subscriptions } = params;
  const { createBus } = await load();
  // The first client brings code and threads that every further one shares.
  const first = createBus(url);
  await first.connect();
  await first.subscribe('first.*', () => {});

  growYoungGeneration();
  const empty = await residentKilobytes();
  const buses = [];
  for (let index = 0; index < clients; index += 1) {
    const bus = createBus(url);
    await bus.connect();
    await bus.subscribe('memory.*', () => {});
    buses.push(bus);
  }
  const connected = await residentKilobytes();
  await Promise.all(buses.map((bus) => bus.close()));

  const before = await residentKilobytes();
  for (let at = 0; at < subscriptions; at += CHUNK) {
    const names = Array.from({ length: Math.min(CHUNK, subscriptions - at) }, (_, i) => at + i);
    await Promise.all(names.map((name) => first.subscribe(`memory.${name}.*`, () => {})));
  }
  const subscribed = await residentKilobytes();
  await first.close();
  return {
    process: empty / 1024,
    client: (connected - empty) / clients,
    subscription: (subscribed - before) / subscriptions,
  };
}
