/** Five services over one Redis that is killed and started again twice: every event is accounted for. */

import { EventBusClient } from '..';
import { isDone } from './support/durable';
import { eventually } from './support/eventually';
import { Fleet, ORDERS, type Published, times } from './support/fleet';
import { RedisServer } from './support/redis-server';
import { type Note, Service } from './support/services';
import { keepingLogger } from './support/transports';

const LIMIT = 120_000;
const PATIENCE = 30_000;
/** How exactly the times of a gap are known, in ms: a message may be under way. */
const EXACT = 1000;

let server: RedisServer;
let main: EventBusClient;
let fleet: Fleet;

beforeAll(async () => {
  server = await RedisServer.start('--appendonly', 'yes', '--appendfsync', 'always');
});

afterAll(async () => {
  await Service.endAll();
  await main?.disconnect();
  await server.stop();
});

/** Whether a service may have missed what was published then, by what it says itself. */
const excused = (service: Service, { from, at }: Published, holes: (gap: Note) => boolean) =>
  service
    .notes('gap')
    .some((gap) => holes(gap) && gap.from - EXACT <= at && from <= gap.to + EXACT);

/** Publishes that had the answer they asked for. */
const resolved = () => fleet.published().filter(({ remote }) => remote === 'resolved');

/** Waits until each service has had so many answers more. */
async function moreResolved(count: number): Promise<void> {
  const before = resolved();
  const by = (list: Published[], name: string) => list.filter((one) => one.by === name).length;
  await eventually(() => {
    const now = resolved();
    return [...fleet.services.keys()].every((name) => by(now, name) >= by(before, name) + count);
  }, PATIENCE);
}

/** Kills the server, lets the services go on without it for a while, and starts it again. */
async function outage(number: number): Promise<void> {
  await server.kill();
  const codes = (service: Service) => service.notes('warning').map(({ code }) => code);
  const count = (service: Service, code: string) => codes(service).filter((c) => c === code).length;
  await eventually(() => fleet.hybrid.every((s) => count(s, 'LOCAL_ONLY') === number), PATIENCE);
  const alone = (service: Service) =>
    service.notes('published').filter(({ remote }) => remote === 'not_sent').length;
  const before = fleet.hybrid.map(alone);
  await eventually(
    () => fleet.hybrid.every((service, at) => alone(service) >= (before[at] as number) + 20),
    PATIENCE,
  );
  await server.restart();
  const back = (service: Service) => count(service, 'HYBRID_RESTORED') === number;
  await eventually(() => fleet.hybrid.every(back), PATIENCE);
  await moreResolved(50);
}

/** Each live event: by its publisher exactly once, by others at most once, and once unless a gap excuses it. */
function expectHeard(what: 'tick' | 'said', listeners: string[]): void {
  const published = fleet.published().filter((one) => one.what === what);
  const ids = new Set(published.map(({ id }) => id));
  for (const name of listeners) {
    const service = fleet.services.get(name) as Service;
    const heard = times(service.notes('heard').filter(({ id }) => ids.has(id)));
    const hybrid = fleet.hybrid.includes(service);
    let missed = 0;
    for (const one of published) {
      const got = heard.get(one.id) ?? 0;
      if (one.by === name && hybrid) {
        expect([one.id, got, one.local]).toEqual([one.id, 1, 1]);
      } else if (one.remote === 'not_sent' || one.remote === 'rejected') {
        expect([one.id, got]).toEqual([one.id, 0]);
      } else {
        expect([one.id, got <= 1]).toEqual([one.id, true]);
        if (got === 0 && one.remote === 'resolved') {
          missed += 1;
          const isExcused = excused(service, one, ({ patterns }) => patterns.length > 0);
          expect([name, one, isExcused]).toEqual([name, one, true]);
        }
      }
    }
    // A subscriber may be back later than publishers are; most has arrived.
    expect(missed).toBeLessThan(published.length / 2);
  }
}

test(
  'rooms, groups and hybrid mode through two restarts of the server',
  async () => {
    main = new EventBusClient({ redis: server.url, streams: [ORDERS], logger: keepingLogger() });
    await main.connect();
    fleet = new Fleet(server);
    await Promise.all(fleet.all.map((service) => service.first('serving', PATIENCE)));
    expect(await main.getRoomMembers('floor')).toEqual(['gateway-1', 'gateway-2']);

    fleet.signal('SIGUSR1');
    await moreResolved(50);
    await outage(1);
    await outage(2);
    fleet.signal('SIGUSR2');
    await Promise.all(fleet.all.map((service) => service.first('stopped', PATIENCE)));
    for (const group of ORDERS.consumerGroups) {
      await eventually(() => isDone(main, ORDERS.name, group), PATIENCE);
    }
    // Behind everything that was published live.
    await main.waitUntilReady();
    await main.publish('tick', {}, { id: 'last' });
    const last = (service: Service) => service.notes('heard').some(({ id }) => id === 'last');
    await eventually(() => fleet.all.every(last), PATIENCE);

    const everyone = [...fleet.services.keys()];
    expectHeard('tick', everyone);
    expectHeard('said', ['gateway-1', 'gateway-2']);
    for (const name of ['billing-1', 'billing-2', 'audit']) {
      const said = fleet.services
        .get(name)
        ?.notes('heard')
        .filter(({ type }) => type === 'said');
      expect([name, said]).toEqual([name, []]);
    }

    const orders = fleet.published().filter(({ what }) => what === 'order');
    const handled = (group: string) => times(fleet.all.flatMap((service) => service.notes(group)));
    for (const group of ORDERS.consumerGroups) {
      const counts = handled(group);
      for (const { id, remote } of orders) {
        const got = counts.get(id) ?? 0;
        if (remote === 'resolved') expect([group, id, got >= 1]).toEqual([group, id, true]);
        else if (remote !== 'unknown') expect([group, id, got]).toEqual([group, id, 0]);
      }
    }
    // Live, what was missed is read from the stream; of its own orders it has had each.
    const watcher = fleet.services.get('gateway-2') as Service;
    const watched = times(watcher.notes('watched'));
    for (const order of orders) {
      const got = watched.get(order.id) ?? 0;
      if (order.by === 'gateway-2') expect([order.id, got]).toEqual([order.id, 1]);
      else if (order.remote === 'resolved') {
        const isExcused = excused(watcher, order, ({ complete }) => !complete);
        expect([order.id, got === 1 || (got === 0 && isExcused)]).toEqual([order.id, true]);
      } else expect([order.id, got <= 1]).toEqual([order.id, true]);
    }
    // In hybrid mode only what is to be stored can fail.
    const failures = fleet.published().filter(({ what, by }) => what !== 'order' && by !== 'audit');
    expect(failures.filter(({ failed }) => failed)).toEqual([]);

    for (const service of fleet.all) {
      expect([service.notes('messagesLost'), service.notes('deadLetter')]).toEqual([[], []]);
    }
    expect(await main.getRoomMembers('floor')).toEqual(['gateway-1', 'gateway-2']);
    fleet.signal('SIGTERM');
    for (const service of fleet.all) {
      expect(await service.ended).toMatchObject({ code: 0, signal: null, err: '' });
    }
    expect(await main.getRoomMembers('floor')).toEqual([]);
    expect(await server.command('EXISTS presence:floor')).toBe(':0');
  },
  LIMIT,
);
