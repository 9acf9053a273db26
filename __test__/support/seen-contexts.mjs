/**
 * A program for any runtime: which store of an `AsyncLocalStorage` each kind of callback sees. Everything that has led to
 * a call is done in a context of its own. Prints `{ [callback]: store[] }` as JSON; null is none.
 *
 * Arguments: the entry of this package, the mode, the URL of a server.
 */

import { AsyncLocalStorage } from 'node:async_hooks';
import { pathToFileURL } from 'node:url';

const [entry, mode, redis] = process.argv.slice(2);
const als = new AsyncLocalStorage();
const within = (store, run) => als.run(store, run);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const { EventBusClient, EventBusManager } = (
  await within('loads', () => import(pathToFileURL(entry)))
).default;

const seen = {};
/** Notes what is seen, and leaves something behind for the next one to find. */
const note = (callback) => {
  seen[callback] ??= [];
  seen[callback].push(als.getStore() ?? null);
  als.enterWith(`left behind by ${callback}`);
};
const count = (callback) => seen[callback]?.length ?? 0;
async function until(what, condition) {
  for (const end = Date.now() + 8000; !(await condition()); await sleep(5)) {
    if (Date.now() > end) throw new Error(`timed out: ${what}; ${JSON.stringify(seen)}`);
  }
}

const log = () => note('logger');
const schema = (validate) => ({ '~standard': { version: 1, vendor: 'test', validate } });
const configuration = {
  mode,
  ...(mode === 'memory' ? { memory: `contexts-${process.pid}` } : { redis }),
  channelPrefix: `contexts-${mode}-${process.pid}:`,
  logger: { debug: log, info: log, warn: log, error: log },
  logLevel: 'debug',
  retry: { initialDelay: 5, maxDelay: 5 },
  streams: [{ name: `contexts-${mode}-${process.pid}`, events: 'stored.*', consumerGroups: ['g'] }],
  validateOnReceive: true,
  schemas: {
    'live.checked': schema((value) => {
      // A publish validates as well, in the context of its caller.
      if (!/^publishes/.test(als.getStore() ?? '')) note('validator');
      return { value };
    }),
    'live.checked-later': schema(async (value) => {
      await sleep(1);
      return { value };
    }),
  },
};
const bus = within('creates', () => new EventBusClient(configuration));
const causes = {};

for (const name of ['ready', 'error', 'deadLetter', 'warning', 'closed']) {
  within(`listens to ${name}`, () => {
    bus.on(name, () => note(`listener of ${name}`));
    bus.on(name, () => note(`second listener of ${name}`));
  });
}
await within('connects', () => bus.connect());

const subscribe = (pattern, handler, options) =>
  within(`subscribes to ${pattern}`, () => bus.subscribe(pattern, handler, options));

await subscribe('live.plain', () => note('handler'));
await subscribe('live.async', async () => {
  note('async handler');
  await sleep(1);
  // What a handler enters is its own, also behind its awaits.
  seen.awaited = [...(seen.awaited ?? []), als.getStore()];
});
await subscribe(
  'live.queued',
  async () => {
    note('queued handler');
    await sleep(1);
  },
  { concurrency: 1 },
);
await subscribe(
  'live.retried',
  (_, { attempt }) => {
    note(attempt === 1 ? 'first attempt' : 'retry');
    if (attempt < 3) throw new Error('again');
  },
  {
    retryIf: () => {
      note('retryIf');
      return true;
    },
  },
);
await subscribe(
  'live.failing',
  async () => {
    await sleep(1);
    throw new Error('for the listeners');
  },
  {
    retryIf: () => {
      note('retryIf of an async handler');
      return false;
    },
  },
);
await subscribe(
  'live.slow',
  (_, { signal }) =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        note('abort after the timeout');
        resolve();
      });
    }),
  { timeout: 20, retryOnError: false },
);
await subscribe('live.lazy', () => ({
  // biome-ignore lint/suspicious/noThenProperty: this is what is tested
  then(resolve) {
    note('then of a thenable');
    resolve();
  },
}));
await subscribe('live.checked', () => {});
await subscribe('live.checked-later', () => note('handler behind a validator'));
await subscribe('live.cause', async () => {
  await bus.publish('live.effect', 1);
});
await subscribe('live.effect', (event) => {
  causes.effect = event.metadata.causationId;
});
await subscribe('live.cause', (event) => {
  causes.cause = event.id;
});
const paused = await subscribe('live.paused', () => note('handler after a pause'));
await subscribe(
  'stored.*',
  (_, { attempt }) => {
    note('handler of a group');
    if (attempt === 1) throw new Error('again');
  },
  { group: 'g' },
);

const iterator = within('iterates', () => bus.events('live.plain'));
await iterator.ready();
const loop = within('iterates', async () => {
  for await (const _ of iterator) {
    seen.loop = [...(seen.loop ?? []), als.getStore()];
    if (seen.loop.length === 4) break;
  }
});
await bus.waitUntilReady();

const publish = (type, n) => within(`publishes ${n}`, () => bus.publish(type, n));
// In one tick by two tenants, and one after the other.
for (const type of ['plain', 'async', 'queued', 'retried', 'lazy', 'checked', 'checked-later']) {
  await Promise.all([publish(`live.${type}`, 1), publish(`live.${type}`, 2)]);
  for (const n of [3, 4]) await publish(`live.${type}`, n);
}
paused.pause();
await Promise.all([publish('live.failing', 1), publish('live.slow', 1), publish('live.cause', 1)]);
await Promise.all([publish('live.paused', 1), publish('live.paused', 2)]);
await Promise.all([publish('stored.a', 1), publish('stored.a', 2)]);
within('resumes', () => paused.resume());
const expected = {
  handler: 4,
  'async handler': 4,
  awaited: 4,
  'queued handler': 4,
  'first attempt': 4,
  retry: 8,
  retryIf: 8,
  'retryIf of an async handler': 1,
  'abort after the timeout': 1,
  'then of a thenable': 4,
  validator: 4,
  'handler behind a validator': 4,
  'handler after a pause': 2,
  'handler of a group': 4,
  'listener of error': 2,
  loop: 4,
};
await until('the calls', () => Object.entries(expected).every(([name, n]) => count(name) >= n));
await until('the effect', () => causes.effect !== undefined && causes.cause !== undefined);
seen.inherits = [causes.effect === causes.cause];
await loop;

await within('replays', () =>
  bus.replay({ stream: configuration.streams[0].name, handler: () => note('handler of a replay') }),
);

// Calls that the client ends when it closes.
let hanging = 0;
await subscribe('live.hanging', (_, { signal }) => {
  hanging += 1;
  signal.addEventListener('abort', () => note('abort as the client closes'));
  return new Promise(() => {});
});
await bus.waitUntilReady();
await Promise.all([publish('live.hanging', 1), publish('live.hanging', 2)]);
await until('the hanging calls', () => hanging === 2);
await within('closes', () => bus.disconnect({ timeout: 50 }));
await until(
  'the end',
  () => count('abort as the client closes') === 2 && count('listener of closed') === 1,
);

if (mode === 'memory') {
  // What the manager publishes by itself.
  const manager = within(
    'manages',
    () =>
      new EventBusManager({
        mode: 'memory',
        memory: `managed-${process.pid}`,
        logLevel: 'error',
        statusInterval: 5,
        schemas: {
          'system.status': schema((value) => {
            note('validator of the manager');
            return { value };
          }),
        },
      }),
  );
  await within('uses the manager', () => manager.initialize());
  await until('a status', () => count('validator of the manager') >= 2);
  await within('shuts down', () => manager.shutdown());
}
process.stdout.write(JSON.stringify(seen));
