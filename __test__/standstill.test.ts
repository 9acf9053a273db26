/** A process that stands still, and wakes when others have what it held. */

import { isDone, numbers } from './support/durable';
import { eventually } from './support/eventually';
import { bus, server, stream, useOneGroup } from './support/one-group';
import { type Note, Service } from './support/services';

const LEASE = 1000;
/** A client start counts as alive for 10 s after it was last heard of; so long its consumers keep their names. */
const NAME_IS_FREE = 20_000;
const LIMIT = 60_000;

useOneGroup();

/**
 * A member of the group that handles one event at a time. The code `first` is run with the first event of all, in its
 * handler.
 */
function consumer(options: object, first = ''): Service {
  const code = `
    const bus = new oxbus.EventBusClient({
      redis: { url: args.url, commandTimeout: 30_000 }, streams: [args.stream], lease: args.lease, logLevel: 'error',
    });
    for (const name of ['deadLetter', 'claimLost', 'messagesLost']) bus.on(name, () => note(name));
    bus.on('error', ({ code }) => note('error', { code }));
    await bus.subscribe('*', async (event, ctx) => {
      note('called', { data: event.data });
      if (event.data === 0) { ${first} }
      note('handled', { data: event.data });
    }, { group: 'g', concurrency: 1, maxRetries: 0, ...args.options });
    note('ready');`;
  return new Service(code, { url: server.url, stream, lease: LEASE, options });
}

/** Stays until the claim is lost. */
const UNTIL_LOST = `await new Promise((_, reject) => {
  setInterval(() => {}, 1000);
  ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason));
});`;
/** Ends in the moment in which a process wakes that was stopped: nothing keeps the next call from beginning then. */
const UNTIL_AWAKE = 'await new Promise((resolve) => setTimeout(resolve, 500));';

/** Publishes the numbers from `from` to below `to`. */
async function publish(from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 1) await bus.publish('n', n);
}

const called = (service: Service) => service.notes('called').map(({ data }: Note) => data);
const done = () => isDone(bus, stream.name, 'g');

/** A member that handles the first of two events and has been sent the other, and stands still from then on. */
async function stopped(options: object, first: string): Promise<Service> {
  const service = consumer(options, first);
  await service.first('ready');
  await publish(0, 2);
  await eventually(async () => {
    const { groups } = await bus.streams.info(stream.name);
    return groups[0]?.pending === 2 && called(service).length === 1;
  });
  service.signal('SIGSTOP');
  // Some of it is sent to the one that stands still.
  await publish(2, 10);
  return service;
}

test(
  'stopped for longer than its lease: it begins nothing that another has taken',
  async () => {
    const woken = await stopped({}, UNTIL_AWAKE);
    const other = consumer({});
    await eventually(() => called(other).length === 10, LEASE + 10_000);
    await eventually(done);
    woken.signal('SIGCONT');
    await woken.first('handled');
    // Behind these nothing is on its way that it may have been sent before.
    await eventually(async () => {
      await bus.publish('n', 10);
      return called(woken).length > 1;
    });
    await eventually(done);
    expect(called(woken).filter((n) => n < 10)).toEqual([0]);
    expect(called(other).filter((n) => n < 10)).toHaveLength(10);
    expect(await bus.deadLetters.count()).toBe(0);
  },
  LIMIT,
);

test(
  'stopped until another has its name: it gives up what it had, and takes nothing under that name',
  async () => {
    const woken = await stopped({ consumer: 'one' }, UNTIL_LOST);
    const other = consumer({ consumer: 'one' });
    await eventually(() => called(other).length === 10, NAME_IS_FREE);
    await eventually(done);
    woken.signal('SIGCONT');
    await woken.first('claimLost');
    await eventually(() =>
      woken.notes('error').some(({ code }) => code.endsWith('CONSUMER_IN_USE')),
    );
    await publish(10, 20);
    await eventually(() => called(other).length === 20);
    await eventually(done);
    expect(called(woken)).toEqual([0]);
    expect(called(other).sort((a, b) => a - b)).toEqual(numbers(20));
    expect(woken.notes('handled')).toEqual([]);
    for (const service of [woken, other]) {
      expect([service.notes('deadLetter'), service.notes('messagesLost')]).toEqual([[], []]);
    }
    expect(await bus.deadLetters.count()).toBe(0);
  },
  LIMIT,
);
