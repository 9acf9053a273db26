/** A group that an older bus and Oxbus share, while the processes of both are killed under load. */

import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { EventBusClient } from '../..';
import { eventually } from '../support/eventually';
import { RedisServer } from '../support/redis-server';
import { Service } from '../support/services';
import { keepingLogger } from '../support/transports';
import { type OldSystem, systems } from './old/systems';

const GROUP = 'shared';
const LEASE = 1500;
/** For how long an entry is left to a consumer that renews nothing, on either side. It is far longer than a batch takes. */
const IDLE = 4000;
/** So many processes of each bus and ours are killed, one after the other, under load. */
const KILLS = 5;
const LIMIT = 60_000;
/** From it follow the moments of the kills, and who is killed. */
const SEED = Number(process.env.OXBUS_SEED ?? 19);

/** A generator whose whole sequence follows from its seed (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const OURS = `
  const bus = new oxbus.EventBusClient({
    redis: args.url, wire: args.wire, logLevel: 'error', lease: args.lease, foreignLease: args.idle,
    streams: [{ name: args.stream, events: '*', realtime: false }],
  });
  bus.on('error', () => {});
  await bus.subscribe('*', async ({ type }, { messageId }) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    if (type === args.broken) throw new oxbus.NonRetryableError('built to fail');
    note('handled', { messageId });
  }, { group: args.group, consumer: args.consumer, concurrency: 4, maxRetries: 10 });
  note('ready');`;

const THEIRS = `
  const { Redis } = require(args.ioredis);
  const { systems } = require(args.systems);
  const { stream, group, consumer, idle } = args;
  const config = { stream, group, consumer, minIdle: idle };
  const old = systems[args.wire].consumer(new Redis(args.url), config, async ({ type }, messageId) => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 5));
    if (type === args.broken) throw new Error('built to fail');
    note('handled', { messageId });
  });
  await old.start();
  note('ready');
  for (;;) {
    await old.takeUp();
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }`;

/** One place of a service, in which one process follows the other. */
class Place {
  readonly services: Service[] = [];
  readonly #code: string;
  readonly #args: (consumer: string) => object;
  readonly #name: string;

  constructor(name: string, code: string, args: (consumer: string) => object) {
    this.#name = name;
    this.#code = code;
    this.#args = args;
  }

  start(): Service {
    const service = new Service(this.#code, this.#args(this.consumer(this.services.length)));
    this.services.push(service);
    return service;
  }

  /** The name under which its process consumes. */
  get current(): string {
    return this.consumer(this.services.length - 1);
  }

  /** Kills the process. Answers the name under which it consumed. */
  async kill(): Promise<string> {
    const last = this.services.at(-1);
    last?.signal('SIGKILL');
    await last?.ended;
    return this.current;
  }

  /** An old service keeps its name. */
  consumer(start: number): string {
    return this.#code === THEIRS ? this.#name : `${this.#name}-${start}`;
  }
}

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await RedisServer.start();
  redis = new Redis(server.port, '127.0.0.1');
});

afterAll(async () => {
  await Service.endAll();
  redis.disconnect();
  await server.stop();
});

/** Stores events by both buses until it is told that it is over, every fortieth of them built to fail. Answers their ids. */
async function load(system: OldSystem, bus: EventBusClient, isOver: () => boolean) {
  const stored: { messageId: string; broken: boolean }[] = [];
  for (let n = 0; !isOver(); n += 1) {
    const broken = n % 40 === 0;
    const type = broken ? system.broken : system.type;
    const byUs = async () => (await bus.publish(type, { n }, { key: randomUUID() })).messageId;
    const byThem = () => system.store(redis, system.stream, type, { n });
    stored.push({ messageId: (await (n % 3 === 0 ? byUs() : byThem())) ?? '', broken });
    await pause(5);
  }
  return stored;
}

/** Kills processes that have work, and starts others. Answers what those that were killed had in work. */
async function disturb(system: OldSystem, places: Place[], random: () => number) {
  const inWork = new Set<string>();
  const pendingOf = async (consumer: string) =>
    (await redis.xpending(system.stream, GROUP, '-', '+', 10_000, consumer)) as [string][];
  for (let kills = 0; kills < KILLS; kills += 1) {
    await pause(100 + random() * 500);
    const place = places[Math.floor(random() * places.length)] as Place;
    await eventually(async () => (await pendingOf(place.current)).length > 0);
    const consumer = await place.kill();
    for (const [messageId] of await pendingOf(consumer)) inWork.add(messageId);
    await pause(random() * 300);
    await place.start().first('ready');
  }
  return inWork;
}

test(
  'what both have handled and the dead letters are all that was stored, and only what was in work at a kill is handled twice',
  async () => {
    const random = generator(SEED);
    const runs = Object.values(systems).map((system) => {
      const { stream, wire, broken } = system;
      const args = (consumer: string) => ({
        ...{ url: server.url, group: GROUP, lease: LEASE, idle: IDLE },
        ...{ stream, wire, broken, consumer },
        ...{ ioredis: require.resolve('ioredis'), systems: require.resolve('./old/systems.js') },
      });
      const places = [
        new Place('own-1', OURS, args),
        new Place('own-2', OURS, args),
        new Place('old-1', THEIRS, args),
      ];
      const streams = [{ name: stream, events: '*', realtime: false }];
      const bus = new EventBusClient({
        ...{ redis: server.url, wire, streams, logger: keepingLogger() },
      });
      const schedule = generator(random() * 2 ** 32);
      return { system, places, bus, schedule };
    });
    for (const { system, places, bus } of runs) {
      await redis.xgroup('CREATE', system.stream, GROUP, '0', 'MKSTREAM');
      await bus.connect();
      for (const place of places) place.start();
    }
    await Promise.all(
      runs.flatMap(({ places }) =>
        places.map(({ services }) => services[0]?.first('ready', 20_000)),
      ),
    );
    await Promise.all(
      runs.map(async ({ system, places, bus, schedule }) => {
        const { stream, letters } = system;
        let over = false;
        const disturbed = disturb(system, places, schedule).finally(() => {
          over = true;
        });
        const stored = await load(system, bus, () => over);
        const inWork = await disturbed;
        await eventually(async () => {
          const [[, , , , , pending, , delivered]] = (await redis.xinfo('GROUPS', stream)) as [
            [string, string, string, number, string, number, string, string],
          ];
          expect([pending, delivered]).toEqual([0, stored.at(-1)?.messageId]);
        }, LIMIT / 2);
        await bus.disconnect();

        const notes = places.flatMap(({ services }) =>
          services.flatMap((service) => service.notes('handled')),
        );
        const handled: string[] = notes.map(({ messageId }) => messageId);
        const dead = (await redis.xrange(letters, '-', '+')).map(([, fields]) => {
          const of = (name: string) => fields.includes(name) && fields[fields.indexOf(name) + 1];
          return of('original_message_id') || of('dlq-id');
        });
        const seed = `OXBUS_SEED=${SEED} ${system.wire}`;
        const sorted = (ids: Iterable<unknown>) => [seed, ...[...ids].sort()];
        const ids = (broken: boolean) =>
          stored.filter((one) => one.broken === broken).map(({ messageId }) => messageId);
        expect(sorted(new Set(handled))).toEqual(sorted(ids(false)));
        expect(sorted(dead)).toEqual(sorted(ids(true)));
        const twice = handled.filter((id, at) => handled.indexOf(id) !== at);
        expect(sorted(twice.filter((id) => !inWork.has(id)))).toEqual([seed]);
        // Processes died with events in work, and both sides have handled some.
        expect(inWork.size).toBeGreaterThan(0);
        const byThem = places[2]?.services.flatMap((service) => service.notes('handled')) ?? [];
        expect(byThem.length > 0 && byThem.length < handled.length).toBe(true);
      }),
    );
  },
  LIMIT,
);
