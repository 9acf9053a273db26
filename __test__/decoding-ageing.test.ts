/** What decoding knows grows old: whoever can publish fills its tables, but not for good. In virtual time. */

import { type BusEvent, rawJson } from '..';
import { createTestBus, type TestBus } from '../testing';
import { difference } from './support/difference';
import { Gate } from './support/eventually';
import { keepingLogger } from './support/transports';

const MINUTE = 60_000;

let bus: TestBus;

beforeEach(() => {
  bus = createTestBus({
    logger: keepingLogger(),
    streams: [{ name: 's', events: 'stored' }],
  });
});

afterEach(() => bus.disconnect({ timeout: 100 }));

/** More lists of keys than the table has places, and more strings, each of which comes twice. */
function crowd(name: string): string[] {
  const texts = Array.from({ length: 2000 }, (_, n) => {
    const strings = [1, 2, 3].map((m) => `"${name}-${n}-${m}-${'x'.repeat(n % 90)}"`);
    return `{"${name}${n}":${strings[0]},"b${n % 7}":[${strings[1]},${strings[2]}],"c":${n}}`;
  });
  return texts.flatMap((text) => [text, text]);
}

async function publish(type: string, texts: readonly string[], into: Map<string, string>) {
  for (let at = 0; at < texts.length; at += 200) {
    const some = texts.slice(at, at + 200);
    const results = await Promise.all(some.map((text) => bus.publish(type, rawJson(text))));
    results.forEach(({ eventId }, index) => void into.set(eventId, some[index] as string));
    await bus.settled();
  }
}

test('events are right before, while and after numbers get other meanings', async () => {
  const published = new Map<string, string>();
  const received = new Map<string, unknown>();
  const keep = (event: BusEvent<any>) => {
    received.set(event.id, event.data);
  };
  await bus.subscribe('live', keep);
  const usual = ['{"id":"usual-1","state":"paid"}', '[{"id":"usual-2"},{"id":"usual-1"}]'];
  for (const name of ['one', 'two', 'three']) {
    await publish('live', usual, published);
    await publish('live', crowd(name), published);
    await publish('live', usual, published);
    await bus.advance(MINUTE + 1);
  }
  expect(received.size).toBe(published.size);
  for (const [id, text] of published) {
    expect(difference(received.get(id), JSON.parse(text))).toBeUndefined();
  }
});

test('events that were read before a number got another meaning, and are handled after it', async () => {
  const published = new Map<string, string>();
  const received = new Map<string, unknown>();
  const gate = new Gate();
  let calls = 0;
  await bus.subscribe(
    'stored',
    async (event) => {
      calls += 1;
      if (calls === 5) await gate.opened;
      received.set(event.id, event.data);
    },
    { group: 'slow', concurrency: 1, timeout: 10 * MINUTE },
  );
  await bus.subscribe('live', () => {});
  const texts = Array.from(
    { length: 20 },
    (_, n) => `{"id":"stored-${n % 3}","list":[{"n":${n}}]}`,
  );
  const all = await Promise.all(texts.map((text) => bus.publish('stored', rawJson(text))));
  all.forEach(({ eventId }, index) => void published.set(eventId, texts[index] as string));
  await bus.advance(0);
  expect(calls).toBe(5);
  for (const name of ['one', 'two', 'three']) {
    const others = crowd(name);
    for (let at = 0; at < others.length; at += 200) {
      await Promise.all(
        others.slice(at, at + 200).map((text) => bus.publish('live', rawJson(text))),
      );
    }
    await bus.advance(MINUTE + 1);
  }
  gate.open();
  await bus.settled();
  expect(received.size).toBe(published.size);
  for (const [id, text] of published) {
    expect(difference(received.get(id), JSON.parse(text))).toBeUndefined();
  }
});
