/** The packages themselves: `@nestjs/microservices` and `graphql-redis-subscriptions`, from `fixtures/wires`. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type BusEvent, EventBusClient, type EventBusConfig } from '../..';
import { eventually } from '../support/eventually';
import { RedisServer } from '../support/redis-server';
import { rejection } from '../support/rejection';
import { runNode } from '../support/scripts';
import { keepingLogger } from '../support/transports';
import { awkwardPayloads, roomy } from './awkward-payloads';

const ROOT = join(__dirname, '..', '..');
const load = createRequire(join(ROOT, 'fixtures', 'wires', 'package.json'));

interface NestServer {
  addHandler(
    pattern: unknown,
    handler: (data: unknown) => Promise<unknown>,
    isEvent: boolean,
  ): void;
  listen(done: (error?: unknown) => void): void;
  close(): Promise<unknown>;
}
interface NestClient {
  connect(): Promise<unknown>;
  emit(pattern: unknown, data: unknown): { subscribe(): unknown };
  send(pattern: unknown, data: unknown): unknown;
  close(): unknown;
}
interface PubSub {
  publish(trigger: string, payload: unknown): Promise<void>;
  subscribe(trigger: string, heard: (payload: unknown) => void, options?: object): Promise<number>;
  close(): Promise<unknown>;
}

let server: RedisServer;
const closing: (() => unknown)[] = [];

/** The packages are installed once. */
const INSTALL_LIMIT = 120_000;

beforeAll(async () => {
  const install = [join(ROOT, 'scripts', 'fixtures.mjs'), 'wires'];
  const { code, err } = await runNode(install, { limit: INSTALL_LIMIT });
  expect([code, err]).toEqual([0, expect.anything()]);
  server = await RedisServer.start();
}, INSTALL_LIMIT + 1000);

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

afterAll(() => server.stop());

async function client(config: EventBusConfig): Promise<EventBusClient> {
  const logger = keepingLogger();
  const bus = new EventBusClient({ redis: server.url, logger, ...roomy, ...config });
  closing.push(() => bus.disconnect());
  await bus.connect();
  return bus;
}

describe('nestjs', () => {
  const address = () => ({ host: '127.0.0.1', port: server.port });

  async function nestServer(wildcards: boolean, patterns: string[]) {
    load('reflect-metadata');
    const { ServerRedis } = load('@nestjs/microservices') as {
      ServerRedis: new (options: object) => NestServer;
    };
    const { Logger } = load('@nestjs/common') as { Logger: { overrideLogger(off: false): void } };
    Logger.overrideLogger(false);
    const nest = new ServerRedis({ ...address(), wildcards });
    const heard: unknown[] = [];
    for (const pattern of patterns) {
      nest.addHandler(pattern, async (data) => void heard.push(data), true);
    }
    closing.push(() => nest.close());
    await new Promise<void>((resolve, reject) =>
      nest.listen((error) => (error === undefined ? resolve() : reject(error))),
    );
    const subscribed = wildcards ? 'NUMPAT' : `NUMSUB ${patterns[0]}`;
    const line = wildcards ? 0 : 3;
    await eventually(async () => (await server.command(`PUBSUB ${subscribed}`, line)) !== ':0');
    return heard;
  }

  async function nestClient(): Promise<NestClient> {
    load('reflect-metadata');
    const { ClientRedis } = load('@nestjs/microservices') as {
      ClientRedis: new (options: object) => NestClient;
    };
    const nest = new ClientRedis(address());
    closing.push(() => nest.close());
    await nest.connect();
    return nest;
  }

  test.each(awkwardPayloads)('we publish and an event handler runs: %s', async (_, payload) => {
    const heard = await nestServer(false, ['order.placed']);
    const bus = await client({ wire: 'nestjs' });
    const answers: BusEvent[] = [];
    await bus.subscribe('*', (event) => void answers.push(event));
    await bus.publish('order.placed', payload, { key: 'k', metadata: { tenant: 't' } });
    await eventually(() => heard.length === 1 && answers.length === 1);
    expect(heard).toEqual([payload]);
    expect(answers[0]).toMatchObject({ data: payload, metadata: { key: 'k', tenant: 't' } });
    // Every handler answers a message with an id. Nothing was answered.
    expect(bus.getStats().eventsForeign).toBe(0);
  });

  test('a handler with wildcards runs once, and nothing is answered', async () => {
    const heard = await nestServer(true, ['order.*']);
    const bus = await client({ wire: 'nestjs' });
    await bus.subscribe('*', () => {});
    await bus.publish('order.placed', { n: 1 });
    await bus.publish('order.placed', { n: 2 });
    await eventually(() => heard.length >= 2);
    expect(heard).toEqual([{ n: 1 }, { n: 2 }]);
    expect(bus.getStats().eventsForeign).toBe(0);
  });

  test.each(awkwardPayloads)('it emits and our handler runs: %s', async (_, payload) => {
    const bus = await client({ wire: 'nestjs' });
    const heard: BusEvent[] = [];
    await bus.subscribe('order.*', (event) => void heard.push(event));
    (await nestClient()).emit('order.placed', payload).subscribe();
    await eventually(() => heard.length === 1);
    expect(heard[0]).toMatchObject({ type: 'order.placed', data: payload });
  });

  test('requests and their answers are left alone', async () => {
    await nestServer(false, ['sum']);
    const bus = await client({ wire: 'nestjs' });
    const heard: BusEvent[] = [];
    await bus.subscribe('*', (event) => void heard.push(event));
    const { firstValueFrom } = load('rxjs') as { firstValueFrom(of: unknown): Promise<unknown> };
    const answer = firstValueFrom((await nestClient()).send('sum', { x: 1 })).catch(() => 'none');
    await answer;
    await eventually(() => bus.getStats().eventsForeign === 2);
    expect(heard).toEqual([]);
  });
});

describe('graphql', () => {
  function pubSub(): PubSub {
    const { RedisPubSub } = load('graphql-redis-subscriptions') as {
      RedisPubSub: new (options: object) => PubSub;
    };
    const made = new RedisPubSub({ connection: { host: '127.0.0.1', port: server.port } });
    closing.push(() => made.close());
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
    await theirs.publish('order.shipped', payload);
    await eventually(() => received.length === 2);
    expect(received).toMatchObject([
      { type: 'order.placed', data: payload },
      { type: 'order.shipped', data: payload },
    ]);
  });

  test('what a bare payload cannot say is refused', async () => {
    const bus = await client({ wire: 'graphql' });
    const options = { code: 'ERR_BUS_INVALID_OPTIONS' };
    expect(await rejection(bus.publishToRoom('r', 'a', 1))).toMatchObject(options);
    expect(await rejection(bus.publishToUser('u', 'a', 1))).toMatchObject(options);
    expect(await rejection(bus.broadcast('a', 1))).toMatchObject(options);
    expect(await rejection(bus.subscribe('a', () => {}, { noEcho: true }))).toMatchObject(options);
    for (const more of [{ mode: 'hybrid' }, { persistence: {} }] as EventBusConfig[]) {
      const config = { redis: server.url, wire: 'graphql', ...more } as const;
      expect(() => new EventBusClient(config)).toThrow(
        expect.objectContaining({ code: 'ERR_BUS_INVALID_CONFIG' }),
      );
    }
  });
});
