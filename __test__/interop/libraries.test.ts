/** The packages themselves: `@nestjs/microservices` 11 and 12, and `graphql-redis-subscriptions`. */

import { join } from 'node:path';
import { type BusEvent, EventBusClient, type EventBusConfig } from '../..';
import { eventually } from '../support/eventually';
import { type Line, Peer } from '../support/peer';
import { rejection } from '../support/rejection';
import { awkwardPayloads } from './awkward-payloads';
import { beside, fromWires, installWires, ROOT } from './beside';
import { heard as note } from './heard';

interface PubSub {
  publish(trigger: string, payload: unknown): Promise<void>;
  subscribe(trigger: string, heard: (payload: unknown) => void, options?: object): Promise<number>;
  close(): Promise<unknown>;
}

const on = beside({ prepare: installWires });
const { client, closing } = on;

describe.each([
  ['11', join(ROOT, 'fixtures', 'wires', 'package.json')],
  ['12', join(ROOT, 'package.json')],
])('nestjs %s', (version, packages) => {
  const name = `@nestjs/microservices ${version}`;
  let peer: Peer;
  let commands = 0;

  beforeAll(async () => {
    const program = join(ROOT, 'fixtures', 'wires', 'nest.mjs');
    peer = await Peer.start(process.execPath, program, packages, String(on.server.port));
  }, 70_000);

  afterEach(() => nest('close'));
  afterAll(() => peer.kill());

  /** Gives the service a command, and waits until it has carried it out. */
  async function nest(command: string, more: Line = {}): Promise<void> {
    const number = ++commands;
    peer.tell({ do: command, number, ...more });
    await peer.told(({ done }) => done === number);
  }

  /** Lets the service listen. What its handlers get is in the list. */
  async function nestServer(wildcards: boolean, patterns: string[]) {
    peer.lines.length = 0;
    await nest('listen', { wildcards, patterns });
    const subscribed = wildcards ? 'NUMPAT' : `NUMSUB ${patterns[0]}`;
    const line = wildcards ? 0 : 3;
    await eventually(async () => (await on.server.command(`PUBSUB ${subscribed}`, line)) !== ':0');
    return () => peer.lines.filter((told) => 'heard' in told).map(({ heard }) => heard);
  }

  test.each(awkwardPayloads)('we publish and an event handler runs: %s', async (_, payload) => {
    const heard = await nestServer(false, ['order.placed']);
    const bus = await client({ wire: 'nestjs' });
    const answers: BusEvent[] = [];
    await bus.subscribe('*', (event) => void answers.push(event));
    await bus.publish('order.placed', payload, { key: 'k', metadata: { tenant: 't' } });
    await eventually(() => heard().length === 1 && answers.length === 1);
    expect(heard()).toEqual([payload]);
    expect(answers[0]).toMatchObject({ data: payload, metadata: { key: 'k', tenant: 't' } });
    // Every handler answers a message with an id. Nothing was answered.
    expect(bus.getStats().eventsForeign).toBe(0);
    note(name, 'us');
  });

  test('a handler with wildcards runs once, and nothing is answered', async () => {
    const heard = await nestServer(true, ['order.*']);
    const bus = await client({ wire: 'nestjs' });
    await bus.subscribe('*', () => {});
    await bus.publish('order.placed', { n: 1 });
    await bus.publish('order.placed', { n: 2 });
    await eventually(() => heard().length >= 2);
    expect(heard()).toEqual([{ n: 1 }, { n: 2 }]);
    expect(bus.getStats().eventsForeign).toBe(0);
  });

  test.each(awkwardPayloads)('it emits and our handler runs: %s', async (_, payload) => {
    const bus = await client({ wire: 'nestjs' });
    const heard: BusEvent[] = [];
    await bus.subscribe('order.*', (event) => void heard.push(event));
    await nest('emit', { pattern: 'order.placed', data: payload });
    await eventually(() => heard.length === 1);
    expect(heard[0]).toMatchObject({ type: 'order.placed', data: payload });
    note(name, 'them');
  });

  test('requests and their answers are left alone', async () => {
    await nestServer(false, ['sum']);
    const bus = await client({ wire: 'nestjs' });
    const heard: BusEvent[] = [];
    await bus.subscribe('*', (event) => void heard.push(event));
    await nest('send', { pattern: 'sum', data: { x: 1 } });
    await eventually(() => bus.getStats().eventsForeign === 2);
    expect(heard).toEqual([]);
  });
});

describe('graphql', () => {
  function pubSub(): PubSub {
    const { RedisPubSub } = fromWires('graphql-redis-subscriptions') as {
      RedisPubSub: new (options: object) => PubSub;
    };
    const made = new RedisPubSub({ connection: { host: '127.0.0.1', port: on.server.port } });
    closing(() => made.close());
    return made;
  }

  test.each(awkwardPayloads)('both ways: %s', async (_, payload) => {
    const [bus, theirs] = [await client({ wire: 'graphql' }), pubSub()];
    const heard: unknown[] = [];
    await theirs.subscribe('order.placed', (data) => heard.push(data));
    await theirs.subscribe('order.*', (data) => heard.push(data), { pattern: true });
    const received: BusEvent[] = [];
    await bus.subscribe('order.*', (event) => void received.push(event));
    await bus.publish('order.placed', payload);
    await eventually(() => heard.length === 2 && received.length === 1);
    expect(heard).toEqual([payload, payload]);
    note('graphql-redis-subscriptions', 'us');
    await theirs.publish('order.shipped', payload);
    await eventually(() => received.length === 2);
    expect(received).toMatchObject([
      { type: 'order.placed', data: payload },
      { type: 'order.shipped', data: payload },
    ]);
    note('graphql-redis-subscriptions', 'them');
  });

  test('what a bare payload cannot say is refused', async () => {
    const bus = await client({ wire: 'graphql' });
    const options = { code: 'ERR_BUS_INVALID_OPTIONS' };
    expect(await rejection(bus.publishToRoom('r', 'a', 1))).toMatchObject(options);
    expect(await rejection(bus.publishToUser('u', 'a', 1))).toMatchObject(options);
    expect(await rejection(bus.broadcast('a', 1))).toMatchObject(options);
    expect(await rejection(bus.subscribe('a', () => {}, { noEcho: true }))).toMatchObject(options);
    for (const more of [{ mode: 'hybrid' }, { persistence: {} }] as EventBusConfig[]) {
      const config = { redis: on.server.url, wire: 'graphql', ...more } as const;
      expect(() => new EventBusClient(config)).toThrow(
        expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG' }),
      );
    }
  });
});
