import { difference } from '../../../__test__/support/difference.js';
import { startServer } from '../../../benchmark/support/server.mjs';
import { EventBusClient, rawJson } from '../../../index.js';
import { createRandom } from '../../chaos/random.mjs';
import { createTexts } from './texts.mjs';

/** How many texts come again before others do: the tables of shapes and strings fill and change all the time. */
const BLOCK = 200;
/** How many texts one event has as an array. */
const ARRAY = 20;
const TYPES = ['decoding.a', 'decoding.b', 'decoding.c.d'];
/** One block in so many goes through groups too. */
const STORED = 20;
const DEADLINE_MS = 60_000;
const SHOWN = 5;

/**
 * Publishes so many different texts of JSON, each of them at least three times, as data of its own and within arrays, and
 * compares what handlers get with what `JSON.parse` makes of the same text. `transport` is the configuration of a client.
 *
 * @returns {Promise<{ problems: string[], sums: object }>}
 */
export async function compareDecoding({ texts, seed, transport }) {
  const random = createRandom(seed);
  const nextText = createTexts(random);
  const streams = [{ name: 'decoding', events: 'stored' }];
  const bus = new EventBusClient({ logLevel: 'error', streams, ...transport });
  const ways = await openWays(bus);
  const problems = [];
  const sums = { seed, texts: 0, events: 0, compared: 0, bytes: 0 };

  const publish = async (type, data, ways) => {
    const results = await Promise.all(data.map((text) => bus.publish(type(), rawJson(text))));
    const expected = new Map(results.map(({ eventId }, index) => [eventId, data[index]]));
    sums.events += data.length;
    sums.bytes += data.reduce((sum, text) => sum + text.length, 0);
    for (const { name, received } of ways) {
      await until(() => received.size >= expected.size);
      for (const [id, text] of expected) {
        const different = received.has(id)
          ? difference(received.get(id), JSON.parse(text))
          : 'it did not come';
        sums.compared += 1;
        if (different !== undefined) problems.push(`${name}: ${different} in ${text}`);
      }
      received.clear();
    }
  };

  for (let block = 0; sums.texts < texts && problems.length < SHOWN; block += 1) {
    const all = Array.from({ length: Math.min(BLOCK, texts - sums.texts) }, nextText);
    const again = random.shuffled(all);
    const arrays = [];
    for (let at = 0; at < again.length; at += ARRAY) {
      arrays.push(`[${again.slice(at, at + ARRAY).join(',')}]`);
    }
    const type = () => random.pick(TYPES);
    await publish(type, all, [ways.live]);
    await publish(type, [...again, ...arrays], [ways.live]);
    if (block % STORED === 0) await publish(() => 'stored', all, [ways.group, ways.batches]);
    sums.texts += all.length;
  }
  await bus.disconnect();
  return { problems: problems.slice(0, SHOWN).map((one) => one.slice(0, 2000)), sums };
}

/** The same over a server of its own, or in memory. @returns as `compareDecoding` */
export async function soakDecoding({ texts, seed, transport }) {
  if (transport === 'memory')
    return compareDecoding({ texts, seed, transport: { mode: 'memory' } });
  const server = await startServer();
  try {
    return await compareDecoding({ texts, seed, transport: { redis: server.url } });
  } finally {
    await server.stop();
  }
}

/** How events come: each way with the data that was received, by the ids of the events. */
async function openWays(bus) {
  const way = (name) => ({ name, received: new Map() });
  const [live, group, batches] = ['live', 'group', 'batches'].map(way);
  const keep = (way) => (event) => {
    way.received.set(event.id, event.data);
  };
  await bus.subscribe('decoding.**', keep(live));
  await bus.subscribe('stored', keep(group), { group: 'one', concurrency: 50 });
  const batch = { size: 50, wait: 20 };
  await bus.subscribe('stored', (events) => events.forEach(keep(batches)), {
    group: 'many',
    batch,
  });
  return { live, group, batches };
}

async function until(condition) {
  const end = performance.now() + DEADLINE_MS;
  while (!condition()) {
    if (performance.now() > end) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
