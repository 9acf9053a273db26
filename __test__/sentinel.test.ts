/** A master that sentinels watch, as seen from JavaScript. */

import { EventBusClient, type RedisConfig } from '..';
import { eventually } from './support/eventually';
import { losing } from './support/losing';
import { freePort } from './support/redis-server';
import { SentinelSet } from './support/sentinel-set';

let set: SentinelSet;

beforeAll(async () => {
  set = await SentinelSet.start();
}, 60_000);

afterAll(() => set.stop());

function client(redis: Partial<RedisConfig> = {}): EventBusClient {
  return new EventBusClient({
    serviceName: 'tests',
    logger: false,
    redis: { sentinel: { name: set.name, nodes: set.nodes }, ...redis },
    streams: [{ name: 'jobs', events: 'job' }],
  });
}

test('a client publishes, listens and consumes through a failover', async () => {
  await using bus = client();
  await bus.connect();
  const [live, stored]: [number[], number[]] = [[], []];
  const gaps: unknown[] = [];
  bus.on('gap', (gap) => gaps.push(gap));
  await bus.subscribe('job', (event) => void live.push(event.data.n));
  await bus.subscribe('job', (event) => void stored.push(event.data.n), { group: 'workers' });
  await bus.publish('job', { n: 1 }, { replicas: 1 });
  await eventually(() => expect([live, stored]).toEqual([[1], [1]]));

  const before = await bus.healthCheck();
  expect(before.status).toBe('healthy');
  const sentinels = set.nodes.map((address) => ({
    address,
    connected: true,
    master: `127.0.0.1:${set.master.port}`,
  }));
  const master = `127.0.0.1:${set.master.port}`;
  expect(before.redis).toMatchObject({
    role: 'master',
    sentinel: { name: set.name, master, sentinels },
  });

  await losing(bus, ['publisher', 'subscriber', 'consumer', 'reader:workers'], () =>
    set.failOver(),
  );
  await eventually(async () => {
    const health = await bus.healthCheck();
    expect(health.redis?.sentinel?.master).toBe(`127.0.0.1:${set.replica.port}`);
    expect(health.status).toBe('healthy');
  }, 30_000);
  await bus.publish('job', { n: 2 });
  await eventually(() =>
    expect([live, stored]).toEqual([
      [1, 2],
      [1, 2],
    ]),
  );
  await eventually(() => expect(gaps).toHaveLength(1));
  expect(await set.replica.command('XLEN jobs')).toBe(':2');
}, 60_000);

test('without a master connect says what each sentinel says', async () => {
  const away = `127.0.0.1:${await freePort()}`;
  const [known = ''] = set.nodes;
  await using bus = client({
    sentinel: { name: 'other', nodes: [known, away] },
    connectTimeout: 1000,
  });
  const message =
    `no server is known to be the master "other": ${known} knows no master "other"; ` +
    `${away} gives no answer (cannot connect to ${away}: Connection refused (os error 111))`;
  await expect(bus.connect()).rejects.toMatchObject({
    code: 'ERR_BUS_CONNECTION_REFUSED',
    message,
  });
});

test('the options of sentinels are checked, and never shown', () => {
  const config =
    (sentinel: object, more: object = {}) =>
    () =>
      new EventBusClient({ redis: { sentinel, ...more } as RedisConfig });
  expect(config({ name: 'm', nodes: [] })).toThrow(
    'redis.sentinel.nodes: expected 1 to 32 sentinels, got 0',
  );
  expect(config({ name: 'm', nodes: ['a'], masterName: 'm' })).toThrow(
    "redis.sentinel.masterName: unknown key: did you mean 'name'?",
  );
  expect(config({ name: 'm', nodes: ['a'] }, { host: 'h' })).toThrow(
    'redis.host: contradicts redis.sentinel',
  );
  const notPem = {
    name: 'm',
    nodes: ['a'],
    tls: { ca: Buffer.from('-----BEGIN CERTIFICATE-----\nx') },
  };
  expect(config(notPem)).toThrow('redis.sentinel.tls.ca: no certificate in PEM form');
  const bus = client({ sentinel: { name: 'm', nodes: ['a'], password: 'hunter2' } });
  expect(JSON.stringify(bus)).not.toContain('hunter2');
});
