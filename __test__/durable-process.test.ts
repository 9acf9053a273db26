/** Durable events when processes are killed, frozen, blocked or end themselves. */

import { isDone } from './support/durable';
import { eventually } from './support/eventually';
import { bus, server, stream, useOneGroup } from './support/one-group';
import { runScript, SOON_ENDED } from './support/scripts';
import { type Note, Service } from './support/services';

/**
 * How long after its lease an event of a dead process may wait until another process handles it: 5 s, and as much again on
 * a machine that has more to do than it can.
 */
const TAKEOVER = 10_000;
const LIMIT = 60_000;

useOneGroup();

/** A member of the group, which notes each call (`called`), and when it has ended (`handled`). */
function consumer(handler: string, lease: number, options: object = {}): Service {
  const code = `
    const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
    const bus = new oxbus.EventBusClient({
      redis: args.url, streams: [args.stream], lease: args.lease, logLevel: 'error',
    });
    for (const name of ['deadLetter', 'claimLost', 'messagesLost']) {
      bus.on(name, ({ reason }) => note(name, { reason }));
    }
    bus.on('error', () => {});
    process.once('SIGTERM', async () => {
      note('terminated');
      await bus.disconnect();
      note('closed');
    });
    const handle = async (event, ctx) => {
      ${handler}
    };
    await bus.subscribe('*', async (event, ctx) => {
      const { attempt, deliveryCount } = ctx;
      note('called', { type: event.type, data: event.data, attempt, deliveryCount });
      await handle(event, ctx);
      note('handled', { type: event.type, data: event.data });
    }, { group: 'g', ...args.options });
    note('ready');`;
  return new Service(code, { url: server.url, stream, lease, options });
}

/** Publishes numbers from `first` on. */
async function publish(count: number, first = 0): Promise<void> {
  for (let n = first; n < first + count; n += 1) await bus.publish('n', n);
}

const data = (notes: Note[]) => notes.map((note) => note.data).sort((a, b) => a - b);
const done = () => isDone(bus, stream.name, 'g');
const NEVER = 'await new Promise((resolve) => setInterval(resolve, 1 << 30));';

test(
  'killed in a handler: another process gets what it had, after its lease',
  async () => {
    const lease = 1000;
    const victim = consumer(NEVER, lease, { concurrency: 2 });
    await victim.first('ready');
    await publish(6);
    await eventually(() => victim.notes('called').length === 2);
    const heir = consumer('', lease);
    await heir.first('ready');
    victim.signal('SIGKILL');
    const killedAt = Date.now();
    await eventually(() => data(heir.notes('handled')).length === 6, lease + TAKEOVER);
    expect(Date.now() - killedAt).toBeLessThan(lease + TAKEOVER);
    await eventually(done);
    expect(data(heir.notes('handled'))).toEqual([0, 1, 2, 3, 4, 5]);
    const started = new Set(data(victim.notes('called')));
    for (const { data: n, deliveryCount, attempt } of heir.notes('called')) {
      // The process may not even have read the events that it had not started.
      if (started.has(n)) expect([n, deliveryCount, attempt]).toEqual([n, 2, 2]);
      else expect(deliveryCount).toBeLessThanOrEqual(2);
    }
    const { groups } = await bus.streams.info(stream.name);
    await eventually(() => groups[0]?.pending === 0);
  },
  LIMIT,
);

test.each(['none', 'stream'])(
  'killed while an event waits for its retry, in order %j: the delay is kept, and no attempt is used up',
  async (orderBy) => {
    const later = 'if (ctx.attempt === 1) throw new oxbus.RetryLater(6000);';
    const victim = consumer(later, 1000, { orderBy });
    await victim.first('ready');
    await publish(1);
    const { at } = await victim.first('called');
    // Where an order is kept the event stays with its client.
    const isKept = orderBy === 'none' ? { consumer: 'oxbus:delayed' } : { deliveryCount: 2 };
    await eventually(async () => {
      const [entry] = await bus.streams.pending(stream.name, 'g');
      return Object.entries(isKept).every(([key, value]) => entry?.[key as 'consumer'] === value);
    });
    victim.signal('SIGKILL');
    const heir = consumer('', 1000, { orderBy });
    const call = await heir.first('called', 6000 + TAKEOVER);
    expect(call.at - at).toBeGreaterThanOrEqual(5998);
    expect(call).toMatchObject({ attempt: 2, deliveryCount: 2 });
    await eventually(done);
    expect([heir.notes('deadLetter'), victim.notes('called').length]).toEqual([[], 1]);
  },
  LIMIT,
);

test(
  'told to end: it finishes what runs, and another gets the rest long before the lease is over',
  async () => {
    const untilTold = `await new Promise((resolve) => process.once('SIGTERM', resolve));
      await pause(1500);`;
    const first = consumer(untilTold, 30_000, { concurrency: 1 });
    await first.first('ready');
    await publish(5);
    await first.first('called');
    await eventually(async () => (await bus.streams.pending(stream.name, 'g')).length > 1);
    const second = consumer('', 30_000);
    await second.first('ready');
    first.signal('SIGTERM');
    const { at } = await first.first('terminated');
    await eventually(() => second.notes('handled').length === 4);
    expect(Math.max(...second.notes('handled').map((note) => note.at)) - at).toBeLessThan(10_000);
    expect(await first.ended).toEqual({ code: 0, signal: null, err: '' });
    expect(data(first.notes('handled'))).toEqual([0]);
    expect(data(second.notes('handled'))).toEqual([1, 2, 3, 4]);
    expect(second.notes('called').map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1, 1, 1]);
    await eventually(done);
  },
  LIMIT,
);

test(
  'an event loop that is blocked for four leases loses no claim',
  async () => {
    const block = 'if (event.data === 0) for (const end = Date.now() + 4000; Date.now() < end; );';
    const blocked = consumer(block, 1000);
    await blocked.first('ready');
    await publish(1);
    await blocked.first('called');
    const other = consumer('', 1000);
    await other.first('ready');
    await publish(20, 1);
    await eventually(done, 15_000);
    expect(data(blocked.notes('called')).filter((n) => n === 0)).toEqual([0]);
    expect(data(other.notes('called'))).not.toContain(0);
    const calls = [...blocked.notes('called'), ...other.notes('called')];
    expect(data(calls)).toEqual(Array.from({ length: 21 }, (_, n) => n));
    expect(blocked.notes('claimLost')).toEqual([]);
  },
  LIMIT,
);

test(
  'frozen for longer than its lease: another handles it, and no harm is done on waking up',
  async () => {
    const lease = 1000;
    const untilAborted = `await new Promise((_, reject) => {
      const stay = setInterval(() => {}, 1000);
      ctx.signal.addEventListener('abort', () => {
        clearInterval(stay);
        note('aborted', { code: ctx.signal.reason.code });
        reject(ctx.signal.reason);
      });
    });`;
    const frozen = consumer(untilAborted, lease, { maxRetries: 0 });
    await frozen.first('ready');
    await publish(1);
    await frozen.first('called');
    const other = consumer('', lease, { maxRetries: 0 });
    await other.first('ready');
    frozen.signal('SIGSTOP');
    const call = await other.first('called', lease + TAKEOVER);
    expect(call).toMatchObject({ data: 0, deliveryCount: 2 });
    await eventually(done);
    frozen.signal('SIGCONT');
    expect(await frozen.first('aborted')).toMatchObject({ code: 'ERR_BUS_ABORTED' });
    await frozen.first('claimLost');
    // Both processes are members as before.
    await publish(10, 1);
    await eventually(() => {
      const calls = [...frozen.notes('called'), ...other.notes('called')];
      return new Set(data(calls)).size === 11;
    });
    frozen.signal('SIGTERM');
    await frozen.ended;
    await eventually(done, lease + TAKEOVER);
    expect(frozen.notes('deadLetter')).toEqual([]);
    expect(await bus.deadLetters.count()).toBe(0);
  },
  LIMIT,
);

test(
  'an event that kills its process is given up, and its neighbours are not',
  async () => {
    const maxRetries = 3;
    const handler = `
      if (event.type === 'poison') process.abort();
      await pause(20);`;
    const start = () => consumer(handler, 500, { maxRetries, concurrency: 4 });
    const processes = [start()];
    const supervised = (async () => {
      for (;;) {
        const { signal } = await (processes.at(-1) as Service).ended;
        if (signal !== 'SIGABRT') return;
        processes.push(start());
      }
    })();
    await processes[0]?.first('ready');
    await publish(4);
    await bus.publish('poison', 'x');
    await publish(20, 4);
    const notes = (kind: string) => processes.flatMap((service) => service.notes(kind));
    await eventually(() => notes('deadLetter').length === 1, 30_000);
    await eventually(done, 30_000);
    expect(processes.length - 1).toBeLessThanOrEqual(maxRetries + 1);
    const calls = notes('called').filter(({ type }) => type === 'poison');
    expect(calls.length).toBeLessThanOrEqual(maxRetries + 1);
    expect(calls.length).toBe(processes.length - 1);
    const handled = new Set(data(notes('handled')));
    expect([...handled].sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, n) => n));
    expect(await bus.deadLetters.list()).toMatchObject([
      { reason: 'crashed', attempts: calls.length, event: { type: 'poison', data: 'x' } },
    ]);
    processes.at(-1)?.signal('SIGTERM');
    await supervised;
  },
  LIMIT,
);

test(
  'process.exit in a handler ends the process with that code, and loses no event',
  async () => {
    const lease = 500;
    const leaving = consumer('process.exit(3);', lease);
    await leaving.first('ready');
    await publish(3);
    expect(await leaving.ended).toEqual({ code: 3, signal: null, err: '' });
    const next = consumer('', lease);
    await eventually(() => next.notes('handled').length === 3, lease + TAKEOVER);
    await eventually(done);
    expect(data(next.notes('handled'))).toEqual([0, 1, 2]);
    expect(next.notes('called').map(({ deliveryCount }) => deliveryCount)).toContain(2);
  },
  LIMIT,
);

const CLIENT = {
  memory: `const bus = new oxbus.EventBusClient({ mode: 'memory', streams: args[1], logLevel: 'error' });`,
  redis: `const bus = new oxbus.EventBusClient({ redis: args[0], streams: args[1], logLevel: 'error' });`,
};

describe.each<keyof typeof CLIENT>(['memory', 'redis'])('%s', (transport) => {
  const run = (code: string, stays?: number) =>
    runScript(`${CLIENT[transport]}${code}`, [server.url, [stream]], { stays });

  test('a script that has used everything and closes its client ends at once', async () => {
    const ended = await run(`
      const seen = [];
      await bus.subscribe('*', (event) => seen.push(event.data), { group: 'g' });
      await bus.subscribe('*', (events) => seen.push(...events), { group: 'h', batch: { size: 9 } });
      await bus.subscribe('*', () => { throw new Error('no'); }, { group: 'i' });
      const events = bus.events('*', { group: 'j' });
      await events.ready();
      await bus.publish('a', 1, { id: 'x', deduplicate: true });
      await events.next();
      while (seen.length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
      await bus.replay({ stream: args[1][0].name, handler: () => {} });
      await bus.getHistory();
      await bus.disconnect();
      console.log(Date.now());`);
    expect(ended).toMatchObject({ code: 0, signal: null, err: '' });
    expect(ended.at - Number(ended.out)).toBeLessThan(SOON_ENDED);
  });

  test('streams alone do not keep a process alive, a subscription does', async () => {
    const idle = await run(`
      const sub = await bus.subscribe('*', () => {}, { group: 'g' });
      await bus.publish('a', 1);
      await sub.unsubscribe({ wait: true });
      console.log(Date.now());`);
    expect(idle).toMatchObject({ code: 0, signal: null, err: '' });
    expect(idle.at - Number(idle.out)).toBeLessThan(SOON_ENDED);
    const code = `await bus.subscribe('*', () => {}, { group: 'g' }); console.log('listens');`;
    const busy = await run(code, 1500);
    expect(busy).toMatchObject({ out: 'listens\n', signal: 'SIGKILL', err: '' });
  });

  test('process.exit in the middle of everything', async () => {
    const ended = await run(`
      let handled = 0;
      const handler = async () => { if (++handled === 100) process.exit(3); };
      await bus.subscribe('*', handler, { group: 'g' });
      for (;;) {
        await Promise.all(Array.from({ length: 50 }, () => bus.publish('a', 1)));
        await new Promise((resolve) => setImmediate(resolve));
      }`);
    expect(ended).toMatchObject({ code: 3, signal: null, err: '' });
  });
});

test('a test bus that is closed leaves nothing', async () => {
  const code = `
    const { createTestBus } = require(require('node:path').join(args[0], 'testing.js'));
    const bus = createTestBus({ streams: [{ name: 's', events: '*' }] });
    await bus.subscribe('*', () => {}, { group: 'g' });
    await bus.publish('a', 1);
    await bus.advance(3600000);
    await bus.disconnect();
    console.log(Date.now());`;
  const ended = await runScript(code, [`${__dirname}/..`]);
  expect(ended).toMatchObject({ code: 0, signal: null, err: '' });
  expect(ended.at - Number(ended.out)).toBeLessThan(SOON_ENDED);
});

test(
  'a fixed name in a crash loop: each start gets it long before the lease, and what the one before has left',
  async () => {
    const options = { consumer: 'worker-1', whenReady: true, maxRetries: 10 };
    const lease = 60_000;
    let killed = 0;
    for (let turn = 0; turn < 3; turn += 1) {
      const victim = consumer(NEVER, lease, options);
      // What shows that the one before lives has 10 s, and the name is asked for twice a second.
      const { at } = await victim.first('ready', 25_000);
      if (killed === 0) await publish(1);
      else expect(at - killed).toBeLessThan(20_000);
      expect(await victim.first('called', TAKEOVER)).toMatchObject({ attempt: turn + 1 });
      victim.signal('SIGKILL');
      await victim.ended;
      killed = Date.now();
    }
    const heir = consumer('', lease, options);
    await heir.first('handled', 15_000);
    await eventually(done);
    expect(await bus.deadLetters.count()).toBe(0);
  },
  LIMIT,
);
