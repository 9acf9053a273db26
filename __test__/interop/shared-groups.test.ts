/** A stream and a group that services on an older bus still read, beside ours. */

import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { EventBusClient, type EventBusConfig } from '../..';
import { eventually, Gate } from '../support/eventually';
import { RedisServer } from '../support/redis-server';
import { keepingLogger } from '../support/transports';
import { type OldConsumer, type OldEvent, systems } from './old/systems';

const GROUP = 'shared';
const LEASE = 200;
/** Longer than anything here takes. */
const FOREVER = 60_000;

let server: RedisServer;
let redis: Redis;
const closing: (() => Promise<unknown>)[] = [];
const gates: Gate[] = [];

beforeAll(async () => {
  server = await RedisServer.start();
});

beforeEach(() => {
  redis = connection();
});

afterEach(async () => {
  for (const gate of gates.splice(0)) gate.open();
  for (const close of closing.splice(0).reverse()) await close();
  await server.command('FLUSHALL');
});

afterAll(() => server.stop());

/** One that is opened at the end of the test, however that ends: who waits at it would never stop. */
function newGate(): Gate {
  const gate = new Gate();
  gates.push(gate);
  return gate;
}

function connection(): Redis {
  const made = new Redis(server.port, '127.0.0.1');
  closing.push(async () => made.disconnect());
  return made;
}

describe.each(Object.entries(systems))('%s', (_, system) => {
  const { stream, type } = system;

  async function ours(config: EventBusConfig = {}): Promise<EventBusClient> {
    const streams = [{ name: stream, events: '*', realtime: false }];
    const bus = new EventBusClient({
      redis: server.url,
      logger: keepingLogger(),
      wire: system.wire,
      ...{ streams, lease: LEASE, foreignLease: FOREVER, ...config },
    });
    closing.push(() => bus.disconnect());
    await bus.connect();
    return bus;
  }

  async function theirs(
    handler: (event: OldEvent, messageId: string) => unknown,
    minIdle = FOREVER,
  ): Promise<OldConsumer> {
    const config = { stream, group: GROUP, consumer: 'old-1', minIdle };
    const consumer = system.consumer(connection(), config, handler);
    closing.push(() => consumer.stop());
    await consumer.start();
    return consumer;
  }

  const publish = (bus: EventBusClient, n: number) =>
    bus.publish(type, { n }, { key: randomUUID() });
  const store = (n: number) => system.store(redis, stream, type, { n });

  /** The pending entries of the group: the id, who has it, for how long, how often it was delivered. */
  const pending = async () =>
    (await redis.xpending(stream, GROUP, '-', '+', 1000)) as [string, string, number, number][];

  test('each event is handled once, by either, while both live', async () => {
    const heard: number[][] = [[], []];
    // Some take longer than our lease: the entry is left to who has it, on either side.
    const handle = (at: number) => async (n: number) => {
      if (n % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 3 * LEASE));
      heard[at]?.push(n);
    };
    const [old, own] = [handle(0), handle(1)];
    await theirs(({ data }) => old(data.n));
    const bus = await ours();
    await bus.subscribe('*', (event) => own(event.data.n), { group: GROUP, concurrency: 4 });
    const all = Array.from({ length: 400 }, (_, n) => n);
    for (const n of all) await (n % 2 === 0 ? store(n) : publish(bus, n));
    await eventually(() => heard.flat().length >= all.length);
    await eventually(async () => (await pending()).length === 0);
    expect(heard.flat().sort((a, b) => a - b)).toEqual(all);
    expect(heard.map(({ length }) => length > 0)).toEqual([true, true]);
    expect(await redis.xlen(system.letters)).toBe(0);
    expect(bus.getStats()).toMatchObject({ eventsDeadLettered: 0, messagesRecovered: 0 });
  });

  test('each leaves to the other what it works on, and the old service stays in the group', async () => {
    const [gate, ourGate] = [newGate(), newGate()];
    const calls: string[] = [];
    await theirs(async ({ data }) => {
      calls.push(`old ${data.n}`);
      await gate.opened;
    });
    await store(0);
    await eventually(() => calls.length === 1);
    const bus = await ours();
    await bus.subscribe(
      '*',
      async ({ data }) => {
        calls.push(`own ${data.n}`);
        await ourGate.opened;
      },
      { group: GROUP },
    );
    // The other one is at work, so what comes now is ours.
    const { messageId = '' } = await publish(bus, 1);
    await eventually(() => calls.length === 2);
    const since = performance.now();
    await eventually(
      () => performance.now() - since > 7 * LEASE && bus.getStats().claimsRenewed >= 7,
    );
    // We have not taken its entry after a lease, and it cannot take ours by an idle time of five.
    expect(await redis.xclaim(stream, GROUP, 'old-1', 5 * LEASE, messageId)).toEqual([]);
    const owners = (await pending()).map(([id, owner]) => [id === messageId, owner === 'old-1']);
    expect(owners).toEqual([
      [false, true],
      [true, false],
    ]);
    gate.open();
    ourGate.open();
    await eventually(async () => (await pending()).length === 0);
    expect(calls).toEqual(['old 0', 'own 1']);
    await bus.disconnect();
    const consumers = (await redis.xinfo('CONSUMERS', stream, GROUP)) as string[][];
    expect(consumers.map(([, name]) => name)).toEqual(['old-1']);
  });

  test('what it left pending is ours after foreignLease, as a first attempt', async () => {
    const consumer = await theirs(() => {
      throw new Error('left pending');
    });
    const ids = [await store(0), await store(1)];
    await eventually(async () => (await pending()).length === 2);
    await consumer.stop();
    const bus = await ours({ foreignLease: 2 * LEASE });
    const calls: unknown[] = [];
    await bus.subscribe(
      '*',
      ({ data }, { messageId, attempt, deliveryCount }) =>
        void calls.push([data.n, messageId, attempt, deliveryCount]),
      { group: GROUP, orderBy: 'stream' },
    );
    await eventually(async () => (await pending()).length === 0);
    expect(calls).toEqual([
      [0, ids[0], 1, 1],
      [1, ids[1], 1, 1],
    ]);
    expect(bus.getStats().eventsDeadLettered).toBe(0);
  });

  test('what we hand back it can claim at once, by the idle time that it asks for', async () => {
    const bus = await ours();
    const gate = newGate();
    const running: number[] = [];
    await bus.subscribe(
      '*',
      async ({ data }) => {
        running.push(data.n);
        await gate.opened;
      },
      { group: GROUP, concurrency: 1 },
    );
    for (let n = 0; n < 6; n += 1) await publish(bus, n);
    await eventually(async () => running.length === 1 && (await pending()).length > 1);
    const closed = bus.disconnect();
    // Of what has not begun nothing is ours any more: an hour idle, and delivered as often as before.
    await eventually(async () => {
      const rest = (await pending()).slice(1);
      return rest.length > 0 && rest.every(([, , idle]) => idle >= FOREVER);
    });
    const handed = (await pending()).filter(([, , idle]) => idle >= FOREVER).length;
    const heard: number[] = [];
    const consumer = await theirs(({ data }) => void heard.push(data.n));
    await consumer.takeUp();
    await eventually(() => heard.length === 5);
    expect(handed).toBeGreaterThan(0);
    gate.open();
    await closed;
    await eventually(async () => (await pending()).length === 0);
    expect([running, heard.sort()]).toEqual([[0], [1, 2, 3, 4, 5]]);
  });

  test('a backlog in the old format is read, and none of it is a dead letter', async () => {
    await redis.xgroup('CREATE', stream, GROUP, '0', 'MKSTREAM');
    for (let n = 0; n < 30; n += 1) await store(n);
    const bus = await ours();
    const heard: number[] = [];
    await bus.subscribe('*', ({ data }) => void heard.push(data.n), {
      group: GROUP,
      orderBy: 'stream',
    });
    await eventually(() => heard.length === 30);
    expect(heard).toEqual(Array.from({ length: 30 }, (_, n) => n));
    await eventually(async () => (await pending()).length === 0);
    expect(await redis.xlen(system.letters)).toBe(0);
  });
});
