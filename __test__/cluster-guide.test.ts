/** What the guide to Clusters says of connections, and of the way from one server to a Cluster and back. */

import { EventBusClient, type RedisConfig } from '..';
import { ClusterSet } from './support/cluster-set';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';

const STREAMS = ['orders', 'payments', 'users'].map((name) => ({ name, events: `${name}.*` }));

let [set, single]: [ClusterSet, RedisServer] = [] as never;

beforeAll(async () => {
  [set, single] = await Promise.all([ClusterSet.start(), RedisServer.start()]);
}, 60_000);

afterAll(() => Promise.all([set?.stop(), single?.stop()]));

const service = (redis: RedisConfig | string) =>
  new EventBusClient({ serviceName: 'moving', logger: false, streams: STREAMS, redis });

/** The connections that clients of a name have to all nodes. */
async function connectionsOf(name: string): Promise<number> {
  const lists = await Promise.all(set.nodes.map((node) => set.ask(node, 'CLIENT', 'LIST')));
  return lists
    .join('')
    .split('\n')
    .filter((line) => line.includes(` name=${name}`)).length;
}

test('a client has as many connections as the guide says', async () => {
  await using bus = service({ connectionName: 'counted', cluster: { nodes: set.addresses } });
  await bus.connect();
  for (const { events } of STREAMS) await bus.subscribe(events, () => {});
  for (const group of ['billing', 'audit']) {
    for (const { events } of STREAMS) await bus.subscribe(events, () => {}, { group });
  }
  for (const { name } of STREAMS) await bus.publish(`${name}.made`, 1);
  await bus.streams.list();
  // Publishes and questions: 3 each. Live events, and who has which slots: 1 each. Two groups with streams on three masters.
  await eventually(async () => expect(await connectionsOf('counted')).toBe(3 + 3 + 1 + 1 + 2 * 3));
});

test.each(['to', 'from'])(
  'a service moves %s a Cluster, and all that is stored is handled',
  async (way) => {
    const cluster: RedisConfig = { cluster: { nodes: set.addresses } };
    const [old, next] = way === 'to' ? [single.url, cluster] : [cluster, single.url];
    const group = `movers-${way}`;
    const handled: string[] = [];
    const consume = async (bus: EventBusClient) => {
      await bus.connect();
      for (const { events } of STREAMS) {
        await bus.subscribe(events, ({ data }) => void handled.push(data), { group });
      }
    };
    await using consumer = service(old);
    await consume(consumer);
    await using publisher = service(old);
    await publisher.connect();
    const publish = (bus: EventBusClient, word: string) =>
      Promise.all(STREAMS.map(({ name }) => bus.publish(`${name}.made`, `${word} ${name}`)));
    await publish(publisher, 'before');

    // The consumers of the new one are there first, then the publishers move, and the old consumers end when nothing is left.
    await using newConsumer = service(next);
    await consume(newConsumer);
    await publisher.disconnect();
    await using newPublisher = service(next);
    await newPublisher.connect();
    await publish(newPublisher, 'after');
    await eventually(async () => {
      for (const { groups } of await consumer.streams.list()) {
        const own = groups.find(({ name }) => name === group);
        expect(own).toMatchObject({ backlog: 0, pending: 0, delayed: 0 });
      }
    });
    await consumer.disconnect();
    await eventually(() => handled.length === 6);
    const expected = STREAMS.flatMap(({ name }) => [`before ${name}`, `after ${name}`]);
    expect([...handled].sort()).toEqual(expected.sort());
  },
);
