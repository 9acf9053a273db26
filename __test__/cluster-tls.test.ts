/** A Redis Cluster whose nodes speak TLS. */

import { EventBusClient, type TlsConfig } from '..';
import { Certificate } from './support/certificates';
import { eventually } from './support/eventually';
import { rejection } from './support/rejection';
import { authority, TlsCluster } from './support/tls-cluster';

const STREAMS = [
  { name: 'orders', events: 'order.*' },
  { name: 'payments', events: 'payment.*' },
  { name: 'users', events: 'user.*' },
];
const TYPES = ['order.placed', 'payment.made', 'user.joined'];

let cluster: TlsCluster;

beforeAll(async () => {
  cluster = await TlsCluster.start();
}, 60_000);

afterAll(() => cluster.stop());

const client = (tls: TlsConfig) =>
  new EventBusClient({
    ...{ serviceName: 'tests', logger: false, streams: STREAMS },
    redis: { tls, cluster: cluster.config, connectTimeout: 3000 },
  });

test('all nodes are reached by TLS: live events, and streams on three masters', async () => {
  const masters = await Promise.all(STREAMS.map(({ name }) => cluster.set.masterOf(name)));
  expect(new Set(masters).size).toBe(3);
  await using bus = client({ ca: authority.cert, servername: 'localhost' });
  await bus.connect();
  const [live, stored]: [unknown[], unknown[]] = [[], []];
  for (const { events } of STREAMS) {
    await bus.subscribe(events, ({ data }) => live.push(data));
    await bus.subscribe(events, ({ data }) => stored.push(data), { group: 'all' });
  }
  for (const type of TYPES) await bus.publish(type, type);
  await eventually(() => live.length === 3 && stored.length === 3);
  expect([[...live].sort(), [...stored].sort()]).toEqual([[...TYPES].sort(), [...TYPES].sort()]);
  const { status, redis } = await bus.healthCheck();
  expect(status).toBe('healthy');
  expect(redis?.cluster?.nodes.map(({ slots }) => slots > 0)).toEqual([true, true, true]);
});

test('a certificate of nobody that is known is TLS_FAILED', async () => {
  const other = new Certificate({ name: 'other', authority: true, hosts: [] });
  await using bus = client({ ca: other.cert });
  const error = await rejection(bus.connect());
  expect(error).toMatchObject({ code: 'ERR_BUS_TLS_FAILED' });
});

test('nodes are verified by the addresses that they announce, if there is no servername', async () => {
  await using bus = client({ ca: authority.cert });
  // The first node is given by its name.
  const error = await rejection(bus.publish('order.placed', 1, { timeout: 2000 }));
  expect(error.message).toContain('hostname mismatch');
});
