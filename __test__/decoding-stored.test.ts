/** Past events, dead letters and entries that come again are what `JSON.parse` makes of the text that was published. */

import type { BusEvent, EventBusClient, EventBusConfig, PublishOptions } from '..';
import type { Internals } from '../ts/client/internals';
import type { Drained } from '../ts/native/drained';
import type { NativeModule } from '../ts/native/native';
import { AWKWARD } from './support/awkward-json';
import { difference } from './support/difference';
import { isDone, pendingOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { publishTexts, Received } from './support/received';
import { onBothTransports } from './support/transports';

const native: NativeModule = require('../native.js');
const {
  internalsOf,
}: { internalsOf(bus: object): Internals } = require('../dist/client/internals');

/** What was drained since the last test. */
let drained: Drained[] = [];
const { drain } = native.NativeClient.prototype;

beforeAll(() => {
  native.NativeClient.prototype.drain = function (this: never) {
    const text = drain.call(this);
    if (text !== '') drained.push(JSON.parse(text));
    return text;
  };
});

beforeEach(() => {
  drained = [];
});

afterAll(() => {
  native.NativeClient.prototype.drain = drain;
});

/** The drains that brought events of answers. */
const answered = () =>
  drained.filter(({ replies }) => replies?.some(([, , events = 0]) => events > 0));

/** Many events of one shape, which is known from the third one on. */
const ORDERS = Array.from({ length: 40 }, (_, n) => {
  const lines = [{ sku: `sku-${n % 3}`, price: n + 0.5 }];
  return JSON.stringify({
    id: `order-${n}`,
    state: 'paid',
    customer: { name: 'é', tier: 1 },
    lines,
  });
});

onBothTransports((fixture) => {
  /** A stream of its own for each test. */
  let config: EventBusConfig;
  beforeEach(() => {
    config = { streams: [streamFor('text')] };
  });
  const streamName = () => config.streams?.[0]?.name as string;

  /** Of a client that has received nothing: all that it knows of shapes comes from answers. */
  async function askAgain(
    texts: readonly string[],
    ask: (bus: EventBusClient, into: Received) => Promise<unknown>,
    more: EventBusConfig = {},
  ): Promise<void> {
    const all = { ...config, ...more };
    const published = await publishTexts(await fixture.open(all), texts);
    const bus = await fixture.open(all);
    for (let time = 0; time < 2; time += 1) {
      const received = new Received();
      await ask(bus, received);
      await received.expect(published);
    }
  }

  const history = async (bus: EventBusClient, into: Received) => {
    const events = await bus.getHistory({ limit: 10_000 });
    events.forEach(into.keep);
  };
  const replay = (bus: EventBusClient, into: Received) =>
    bus.replay({ pattern: 'text', handler: into.keep });

  test('history', () => askAgain(AWKWARD, history));

  test('replay', () => askAgain(AWKWARD, replay));

  test('events with everything that they may have, from their ids to their metadata', async () => {
    const bus = await fixture.open(config);
    const options: PublishOptions[] = [
      {},
      { correlationId: 'c' },
      { correlationId: 'c', causationId: 'é"' },
      { key: 'k', userId: 'u', metadata: { extra: [1, { a: null }] } },
      { id: 'own "id"', metadata: { __proto__x: 1 } },
    ];
    for (let time = 0; time < 3; time += 1) {
      for (const [index, given] of options.entries()) {
        const id = given.id && `${given.id} ${time}`;
        await bus.publish('text', { index, at: null }, { ...given, ...(id && { id }) });
      }
    }
    // The same question tells their texts.
    const { events: texts } = await internalsOf(bus).ask('getHistory', {});
    expect(texts).toHaveLength(15);
    const replayed: unknown[] = [];
    await bus.replay({ pattern: '*', handler: (event) => void replayed.push(event) });
    for (const events of [await bus.getHistory(), replayed]) {
      expect(events).toHaveLength(15);
      texts.forEach((text, index) => {
        expect(difference(events[index], JSON.parse(text))).toBeUndefined();
      });
    }
  });

  test('events that are asked for by their ids', async () => {
    if (fixture.transport === 'memory') return;
    const persistence = { enabled: true };
    const past = async (bus: EventBusClient, into: Received) => {
      const events = await bus.getHistory({ source: 'redis', limit: 10_000 });
      const got = await Promise.all(events.map(({ id }) => bus.getEvent(id)));
      for (const event of got) into.keep(event as BusEvent);
    };
    await askAgain(AWKWARD, past, { persistence });
  });

  test('what a client knows itself', async () => {
    const persistence = { enabled: true };
    const bus = await fixture.open({ ...config, persistence });
    const published = await publishTexts(bus, AWKWARD);
    const [listed, got] = [new Received(), new Received()];
    const events = await bus.getHistory({ source: 'local', limit: 10_000 });
    events.forEach(listed.keep);
    const found = await Promise.all([...published.keys()].map((id) => bus.getEvent(id)));
    for (const event of found) got.keep(event as BusEvent);
    await listed.expect(published);
    await got.expect(published);
  });

  test('dead letters', async () => {
    const failing = await fixture.open(config);
    await failing.subscribe('text', () => Promise.reject(new Error('no')), {
      group: 'g',
      maxRetries: 0,
    });
    const published = await publishTexts(failing, AWKWARD);
    await eventually(async () => (await failing.deadLetters.count()) === published.size);
    const bus = await fixture.open(config);
    const [listed, got] = [new Received(), new Received()];
    const letters = await bus.deadLetters.list({ limit: 10_000 });
    for (const { event } of letters) listed.keep(event as BusEvent);
    const found = await Promise.all(letters.map(({ id }) => bus.deadLetters.get(id)));
    for (const letter of found) got.keep(letter?.event as BusEvent);
    await listed.expect(published);
    await got.expect(published);
  });

  test('entries that are claimed', async () => {
    const first = await fixture.open({ ...config, lease: 500 });
    const never = () => new Promise<void>(() => {});
    const options = { group: 'g', concurrency: 1_000 };
    await first.subscribe('text', never, options);
    const published = await publishTexts(first, AWKWARD);
    const last = await fixture.open({ ...config, lease: 500 });
    await eventually(async () => (await pendingOf(last, streamName(), 'g')) >= 100);
    await first.disconnect({ timeout: 0 });
    const received = new Received();
    await last.subscribe('text', received.keep, options);
    await received.expect(published);
    await eventually(() => isDone(last, streamName(), 'g'));
  });

  test.each([
    ['history', history],
    ['replay', replay],
  ])('values that come again are not JSON: %s', async (_, ask) => {
    await publishTexts(await fixture.open(config), ORDERS);
    const bus = await fixture.open(config);
    await ask(bus, new Received());
    drained = [];
    await ask(bus, new Received());
    expect(answered().length).toBeGreaterThan(0);
    expect(answered().flatMap(({ json = [] }) => json)).toEqual([]);
  });

  test('an answer comes with events for handlers in one drain', async () => {
    const bus = await fixture.open(config);
    const published = await publishTexts(bus, ORDERS);
    const both = () =>
      answered().some(
        ({ deliveries, replies }) => deliveries !== undefined && replies?.length === 2,
      );
    const [live, past] = [new Received(), [new Received(), new Received()]];
    await bus.subscribe('text', live.keep);
    // The engine gathers while this thread does nothing but wait; in memory it is done at once.
    for (let tries = 0; !both(); tries += 1) {
      expect(tries).toBeLessThan(100);
      const asked = past.map(() => bus.getHistory({ limit: 10_000 }));
      const publishing = publishTexts(bus, ORDERS, 1);
      const end = performance.now() + 20;
      await Promise.resolve();
      while (performance.now() < end);
      const answers = await Promise.all(asked);
      past.forEach(({ keep }, index) => void answers[index]?.forEach(keep));
      const more = await publishing;
      await live.expect(more);
    }
    await past[0]?.expect(published);
    await past[1]?.expect(published);
  });

  test('an answer that nobody waits for any more leaves others as they are', async () => {
    const bus = await fixture.open(config);
    const published = await publishTexts(bus, ORDERS);
    const aborting = new AbortController();
    const seen: unknown[] = [];
    const keep = ({ data }: BusEvent) => void seen.push(data);
    const aborted = bus.replay({ pattern: 'text', handler: keep, signal: aborting.signal });
    const asked = bus.getHistory({ limit: 10_000 });
    aborting.abort();
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_BUS_ABORTED' });
    const received = new Received();
    (await asked).forEach(received.keep);
    await received.expect(published);
    expect(seen).toEqual([]);
    // Its answer came nevertheless, and was not taken for that of another one.
    await eventually(() => answered().flatMap(({ replies = [] }) => replies).length >= 2);
    expect(difference((await bus.getHistory({ limit: 1 })).length, 1)).toBeUndefined();
  });
});
