/** Data comes as it was published, whatever the event around it looks like, and whoever published it. */

import { type BusEvent, type EventBusClient, rawJson } from '..';
import { difference } from './support/difference';
import { type RawRedis, rawRedisOf, streamFor } from './support/durable';
import { eventually } from './support/eventually';
import { onBothTransports, onTransports } from './support/transports';

const DATA = [
  ...['"text"', '""', '5', '-0', '1e400', 'null', 'true', 'false', '[]', '{}', '[1,"a",null]'],
  ...['{"id":"same","n":1}', '[{"id":"same"},{"id":"other"}]', '"\\ud800"', '{"__proto__":1}'],
];
const TIMES = 3;

type Seen = [received: BusEvent<any>, text: string];

/** Fails unless the data of each event is that of its text. */
function expectData(seen: readonly Seen[]): void {
  for (const [event, text] of seen) {
    const different = difference(event.data, JSON.parse(text));
    if (different !== undefined) throw new Error(`${different} in ${text}`);
    expect(event).toMatchObject({ id: expect.any(String), type: 'text', metadata: {} });
  }
}

onBothTransports((fixture) => {
  /** What one kind of event has, and how it is published. */
  const kinds: Record<
    string,
    { publish: (bus: EventBusClient, data: any) => Promise<unknown>; metadata: object; id?: string }
  > = {
    'nothing more': { publish: (bus, data) => bus.publish('text', data), metadata: {} },
    'a key': {
      publish: (bus, data) => bus.publish('text', data, { key: 'k' }),
      metadata: { key: 'k' },
    },
    'metadata of its own': {
      publish: (bus, data) =>
        bus.publish('text', data, { metadata: { own: [{ a: 1 }], 'a b': 'é', data: 'no' } }),
      metadata: { own: [{ a: 1 }], 'a b': 'é', data: 'no' },
    },
    'ids that need escapes': {
      publish: (bus, data) =>
        bus.publish('text', data, { id: '"\\é\u2028😀', correlationId: 'a"b' }),
      metadata: { correlationId: 'a"b' },
      id: '"\\é\u2028😀',
    },
    'a long id and a cause': {
      publish: (bus, data) =>
        bus.publish('text', data, { id: 'i'.repeat(200), correlationId: 'c', causationId: 'd' }),
      metadata: { correlationId: 'c', causationId: 'd' },
      id: 'i'.repeat(200),
    },
    'a room': {
      publish: (bus, data) => bus.publishToRoom('lobby', 'text', data),
      metadata: { room: 'lobby' },
    },
    'a user': {
      publish: (bus, data) => bus.publishToUser('ann', 'text', data),
      metadata: { toUser: 'ann' },
    },
    'all clients as audience': {
      publish: (bus, data) => bus.broadcast('text', data),
      metadata: {},
    },
  };

  test('live events with more or less in them', async () => {
    const [bus, other] = [await fixture.open(), await fixture.open()];
    await bus.joinRoom('lobby');
    await bus.joinUser('ann');
    const received: BusEvent<any>[] = [];
    await bus.subscribe('text', (event) => received.push(event));
    for (let time = 0; time < TIMES; time += 1) {
      for (const [name, { publish, metadata, id }] of Object.entries(kinds)) {
        for (const text of DATA) await publish(other, rawJson(text));
        await eventually(() => received.length === DATA.length);
        expectData(DATA.map((text, index) => [received[index] as BusEvent<any>, text]));
        for (const event of received.splice(0)) {
          expect([name, event.metadata]).toMatchObject([name, metadata]);
          if (id !== undefined) expect(event.id).toBe(id);
        }
      }
    }
  });

  test('a handler gets events of all kinds in one drain', async () => {
    const [bus, other] = [await fixture.open(), await fixture.open()];
    await bus.joinRoom('lobby');
    await bus.joinUser('ann');
    const seen: BusEvent<any>[] = [];
    await bus.subscribe('text', (event) => seen.push(event));
    const texts: string[] = [];
    const sent: Promise<unknown>[] = [];
    for (let time = 0; time < TIMES; time += 1) {
      for (const data of DATA) {
        for (const { publish } of Object.values(kinds)) {
          texts.push(`{"n":${texts.length},"data":${data}}`);
          sent.push(publish(other, rawJson(texts.at(-1) as string)));
        }
      }
    }
    await Promise.all(sent);
    await eventually(() => seen.length === texts.length);
    // Rooms and users have channels of their own, so only the order within each of them is known.
    expectData(seen.map((event) => [event, texts[event.data.n] ?? '']));
    expect(new Set(seen.map(({ data }) => data.n)).size).toBe(texts.length);
  });
});

onTransports(['redis'], (fixture) => {
  let other: RawRedis;

  beforeEach(() => {
    other = rawRedisOf(fixture);
  });

  afterEach(() => other.close());

  test('messages of other programs', async () => {
    const bus = await fixture.open();
    const received: BusEvent<any>[] = [];
    await bus.subscribe('text', (event) => received.push(event));
    const { channel } = await bus.publish('text', 0);
    await eventually(() => received.splice(0).length === 1);
    const time = '"timestamp":"2026-01-01T00:00:00.000Z","source":"s","correlationId":"c"';
    const messages = [
      (data: string) => `{"type":"text","data":${data}}`,
      (data: string) => `{"data":${data},"type":"text"}`,
      (data: string) => ` { "id" : 5 , "type" : "text" , "data" : ${data} , "more" : [ 1 ] } `,
      (data: string) => `{"id":"x","type":"te\\u0078t","d\\u0061ta":${data},"metadata":{${time}}}`,
      (data: string) =>
        `{"metadata":{${time},"own":{"a":1}},"data":${data},"id":"x","type":"text"}`,
      (data: string) =>
        `{"id":"x","type":"text","data":"first","data":${data},"metadata":{${time}}}`,
      (data: string) =>
        `{"id":"x","type":"text","metadata":{${time}},"own":${data},"data":${data}}`,
      (data: string) =>
        `{"id":"x","type":"text","metadata":{${time},"instanceId":"i"},"data":${data}}`,
      (data: string) => `{"id":"x","type":"text","metadata":null,"data":${data}}`,
    ];
    for (let round = 0; round < TIMES; round += 1) {
      const sent = DATA.flatMap((data) =>
        messages.map((message) => [message(data), data] as const),
      );
      for (const [message] of sent) await other.redis.publish(channel, message);
      await eventually(() => received.length === sent.length);
      expectData(received.splice(0).map((event, index) => [event, sent[index]?.[1] ?? '']));
    }
  });

  test('entries of other programs', async () => {
    const stream = streamFor('text');
    const bus = await fixture.open({ streams: [stream] });
    const [one, many]: BusEvent<any>[][] = [[], []];
    await bus.subscribe('text', (event) => one?.push(event), { group: 'one', concurrency: 1 });
    const batch = { size: 10, wait: 10 };
    const handler = (events: BusEvent<any>[]) => many?.push(...events);
    await bus.subscribe('text', handler, { group: 'many', batch, concurrency: 1 });
    const sent: string[] = [];
    for (let time = 0; time < TIMES; time += 1) {
      for (const data of DATA) {
        await other.add(stream.name, { eventType: 'text', data });
        await other.add(stream.name, {
          data: ` ${data} `,
          eventType: 'text',
          eventId: 'é"',
          more: '1',
        });
        await bus.publish('text', rawJson(data), { key: 'k' });
        sent.push(data, data, data);
      }
    }
    for (const received of [one, many]) {
      await eventually(() => received?.length === sent.length);
      expectData((received ?? []).map((event, index) => [event, sent[index] ?? '']));
    }
  });
});
