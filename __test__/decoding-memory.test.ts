/** What memory decoding takes: of strings that handlers keep, and of a stream of events that is made to take much. */

import { runDecoding } from './support/decoding-script';

const SOAK = process.env.OXBUS_SOAK === '1';
const LIMIT = SOAK ? 600_000 : 60_000;
const options = { limit: LIMIT };
const STREAM = { name: 's', events: 'text', maxLength: 1000 };

/** What a string takes in V8 that shares nothing, in bytes: two words, and its characters in whole words. */
const ownSize = (length: number) => 16 + Math.ceil(length / 8) * 8;

/** Fails if a kept string costs more than itself and 256 bytes, or three times itself. */
function expectSmall({ each, lengths }: { each: number; lengths: number[] }): void {
  const length = Math.max(...lengths);
  expect(each - ownSize(length)).toBeLessThanOrEqual(Math.max(256, 2 * length));
}

describe('a string that a handler keeps', () => {
  /**
   * Keeps `strings` of all strings that come, the same number of each event, in an array that has room for them. Resolves to
   * the bytes that each of them takes, and their lengths.
   *
   * @param keep - code of a function of an event, its context and what it may take, which returns a list
   * @param length - of all strings in the data
   * @param size - of the data, in bytes
   */
  async function measure(keep: string, length: number, size: number, kept: Kept, config = {}) {
    const code = `
      const [{ events, each }, length, size, config] = args;
      const bus = open(config);
      const warm = 2000;
      const kept = new Array((warm + events) * each).fill(null);
      const all = Math.floor(size / (length + 3));
      // As many places, far from each other, other ones in each event.
      const places = () => Array.from({ length: each }, (_, n) => (count * 7 + Math.floor(n * all / each)) % all);
      const keep = ${keep};
      const group = config.streams === undefined ? {} : { group: 'g' };
      await bus.subscribe('text', (event, ctx) => {
        keep(event, ctx, places()).forEach((text, n) => { kept[count * each + n] = text; });
        count += 1;
      }, group);
      const strings = () => Array.from({ length: all }, () => '"' + fresh(length) + '"');
      const textOf = () => '{"list":[' + strings().join() + ']}';
      await send(bus, 0, warm, textOf);
      const before = await memory();
      await send(bus, warm, warm + events, textOf);
      const growth = (await memory()).heapUsed - before.heapUsed;
      const lengths = [...new Set(kept.map((text) => text.length))];
      await bus.disconnect();
      console.log(JSON.stringify({ each: growth / (events * each), lengths }));`;
    const seen = await runDecoding(code, [kept, length, size, config], options);
    return seen as { each: number; lengths: number[] };
  }
  type Kept = { events: number; each: number };

  test.each([13, 36, 120, 300])(
    'of the data of an event of 10 KB (%i characters)',
    async (length) => {
      // What the process takes beside them counts less the more they are.
      const kept = SOAK ? { events: 100_000, each: 1 } : { events: 6000, each: 8 };
      const keep = '({ data }, _, places) => places.map((place) => data.list[place])';
      const seen = await measure(keep, length, 10_000, kept);
      expect(seen.lengths).toEqual([length]);
      expectSmall(seen);
    },
    LIMIT,
  );

  test.each<[string, string, object]>([
    ['the id of an event', '(event) => [event.id]', {}],
    ['a message id', '(_, ctx) => [ctx.messageId]', { streams: [STREAM] }],
  ])(
    '%s',
    async (_, keep, config) => {
      const kept = { events: SOAK ? 100_000 : 40_000, each: 1 };
      expectSmall(await measure(keep, 36, SOAK ? 10_000 : 500, kept, config));
    },
    LIMIT,
  );
});

describe('a stream of events that fills what can be filled', () => {
  const EVENTS = SOAK ? 300_000 : 30_000;
  const MB = 2 ** 20;

  /** Compares everything; resolves to the growth of the second half of the stream, and what the first took, in bytes. */
  async function measure(textOf: string) {
    const code = `
      const [events] = args;
      const bus = open();
      const sent = [];
      const different = [];
      await bus.subscribe('text', (event) => {
        count += 1;
        const found = difference(event.data, JSON.parse(sent.shift()));
        if (found !== undefined) different.push(found);
      });
      const textOf = ${textOf};
      const next = (n) => {
        sent.push(textOf(n));
        return sent.at(-1);
      };
      await send(bus, 0, 100, () => {
        sent.push('1');
        return '1';
      });
      const start = await memory();
      await send(bus, 100, events / 2, next);
      const half = await memory();
      await send(bus, events / 2, events, next);
      const end = await memory();
      await bus.disconnect();
      console.log(JSON.stringify({
        different: different.slice(0, 3),
        taken: half.heapUsed - start.heapUsed,
        growth: end.heapUsed - half.heapUsed,
        rssGrowth: end.rss - half.rss,
      }));`;
    // The young part of the heap has its full size from the start, as it grows with any work.
    const flags = ['--min-semi-space-size=4', '--max-semi-space-size=4'];
    const seen = await runDecoding(code, [EVENTS], { ...options, flags });
    expect(seen.different).toEqual([]);
    return seen as { taken: number; growth: number; rssGrowth: number };
  }

  test(
    'keys that never came before',
    async () => {
      const { growth, rssGrowth } = await measure(
        `() => '{' + Array.from({ length: 20 }, () => '"' + fresh(20) + '":"' + fresh(20) + '"').join() + '}'`,
      );
      expect(growth).toBeLessThan(MB);
      expect(rssGrowth).toBeLessThan(16 * MB);
    },
    LIMIT,
  );

  test(
    'each list of keys, and each string, comes exactly twice',
    async () => {
      const { taken, growth, rssGrowth } = await measure(`(n) => {
        if (n % 2 === 0) {
          const members = Array.from({ length: 10 }, () => '"' + fresh(20) + '":"' + fresh(20) + '"');
          globalThis.last = '{' + members.join() + '}';
        }
        return globalThis.last;
      }`);
      // Of 1,024 constructors.
      expect(taken).toBeLessThan(8 * MB);
      expect(growth).toBeLessThan(MB);
      expect(rssGrowth).toBeLessThan(16 * MB);
    },
    LIMIT,
  );
});
