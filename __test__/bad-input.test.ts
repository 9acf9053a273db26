/** Every option of every call with values of the wrong kind: refused by name, harming nothing else. */

import { EventBusClient, EventBusError, EventValidator, escapePattern, ValidationError } from '..';
import { eventually } from './support/eventually';
import { onBothTransports } from './support/transports';

class Instance {}

/** A value of every kind; a test names the kinds that its option takes. */
const VALUES = {
  number: 5,
  negative: -1,
  fraction: 1.5,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  huge: 2 ** 53,
  text: 'x',
  empty: '',
  control: 'a\u0000b',
  boolean: true,
  null: null,
  object: {},
  array: [],
  function: () => {},
  symbol: Symbol('x'),
  bigint: 1n,
  instance: new Instance(),
};
type Kind = keyof typeof VALUES;
const KINDS = Object.keys(VALUES) as Kind[];
const IDENTIFIER: Kind[] = ['text'];
const COUNT: Kind[] = ['number'];
const FLAG: Kind[] = ['boolean'];

type Options = Record<string, unknown>;
/** One call that takes options: what it does with them, and which kinds each option takes. */
interface Call {
  call(bus: EventBusClient, options: Options): unknown;
  /** Where the options are within those of the call. */
  at?: string;
  /** Whether the options themselves may be `true`. */
  orTrue?: boolean;
  options: Record<string, Kind[]>;
}

const subscribe = async (bus: EventBusClient, options: object) =>
  (await bus.subscribe('unused', () => {}, options)).unsubscribe();

const publishOptions: Call['options'] = {
  id: IDENTIFIER,
  timestamp: ['number', 'negative', 'fraction'],
  source: IDENTIFIER,
  correlationId: IDENTIFIER,
  causationId: IDENTIFIER,
  userId: IDENTIFIER,
  organizationId: IDENTIFIER,
  traceparent: IDENTIFIER,
  tracestate: IDENTIFIER,
  metadata: ['object'],
  key: IDENTIFIER,
  timeout: COUNT,
  signal: [],
};

const iterateOptions: Call['options'] = {
  concurrency: COUNT,
  filter: ['object'],
  queue: ['object'],
  noEcho: FLAG,
  by: [],
  signal: [],
};

const CALLS: Record<string, Call> = {
  connect: {
    call: (bus, options) => bus.connect(options),
    options: { timeout: ['number', 'fraction'], signal: [] },
  },
  waitUntilReady: {
    call: (bus, options) => bus.waitUntilReady(options),
    options: { timeout: ['number', 'fraction'], signal: [] },
  },
  publish: {
    call: (bus, options) => bus.publish('unused', 1, options),
    options: publishOptions,
  },
  broadcast: {
    call: (bus, options) => bus.broadcast('unused', 1, options),
    options: publishOptions,
  },
  publishBatch: {
    call: async (bus, options) => {
      const [result] = await bus.publishBatch([{ type: 'unused', data: 1 }], options);
      if (result?.status === 'rejected') throw result.reason;
    },
    options: publishOptions,
  },
  subscribe: {
    call: subscribe,
    options: {
      ...iterateOptions,
      timeout: COUNT,
      retryOnError: FLAG,
      maxRetries: COUNT,
      retry: ['object'],
      retryIf: ['function'],
      circuitBreaker: ['object', 'boolean'],
    },
  },
  'subscribe, retry': {
    call: (bus, retry) => subscribe(bus, { retry }),
    at: 'retry',
    options: {
      initialDelay: COUNT,
      maxDelay: COUNT,
      multiplier: ['number', 'fraction'],
      jitter: [],
    },
  },
  'subscribe, circuitBreaker': {
    call: (bus, circuitBreaker) => subscribe(bus, { circuitBreaker }),
    at: 'circuitBreaker',
    orTrue: true,
    options: {
      errorThresholdPercentage: ['number', 'fraction'],
      resetTimeout: COUNT,
      minimumCalls: COUNT,
      window: COUNT,
    },
  },
  'subscribe, queue': {
    call: (bus, queue) => subscribe(bus, { queue }),
    at: 'queue',
    options: { maxEvents: COUNT, maxBytes: COUNT, overflow: [] },
  },
  'Subscription.unsubscribe': {
    call: async (bus, options) => {
      const subscription = await bus.subscribe('unused', () => {});
      try {
        await subscription.unsubscribe(options);
      } finally {
        await subscription.unsubscribe();
      }
    },
    options: { wait: FLAG },
  },
  events: {
    call: async (bus, options) => {
      const events = bus.events('unused', options);
      try {
        await events.ready();
      } finally {
        await events.return();
      }
    },
    options: { ...iterateOptions, timeout: [], retryOnError: [], maxRetries: [], retry: [] },
  },
  EventValidator: {
    call: (_, options) => new EventValidator(options),
    at: 'validation',
    options: { maxEventBytes: COUNT, maxDataBytes: COUNT },
  },
};

async function refusal(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Fails unless `call` throws or rejects with a `ValidationError` at `path`. */
async function expectRefused(what: string, path: string | undefined, call: () => unknown) {
  const error = await refusal(call);
  if (error instanceof ValidationError && (path === undefined || error.path === path)) return;
  const path_ = error instanceof EventBusError ? ` at '${error.path}'` : '';
  throw new Error(`${what}: ${error === undefined ? 'accepted' : `${error}${path_}`}`);
}

/** Fails if `call` is refused; that its time is over (5 ms are short) is not the value's fault. */
async function expectTaken(what: string, call: () => unknown) {
  const error = await refusal(call);
  if (error instanceof ValidationError) throw new Error(`${what}: refused: ${error.message}`);
}

onBothTransports((bench) => {
  /** Runs `body` while events flow, which all have to arrive, each once. */
  async function besideOthers(body: (bus: EventBusClient) => Promise<void>): Promise<void> {
    const bus = await bench.open();
    const seen: number[] = [];
    await bus.subscribe('flow', (event) => seen.push(event.data));
    const published: Promise<unknown>[] = [];
    let running = true;
    const flow = (async () => {
      while (running || published.length === 0) {
        published.push(bus.publish('flow', published.length));
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    try {
      await body(bus);
    } finally {
      running = false;
      await flow;
    }
    await Promise.all(published);
    await eventually(() => seen.length === published.length);
    expect(seen).toEqual(published.map((_, n) => n));
    expect(bus.subscriberCount()).toBe(1);
    expect(bus.getStats()).toMatchObject({ eventsDropped: 0, inFlight: 0, activeSubscriptions: 1 });
  }

  test.each(Object.entries(CALLS))('options of %s', async (name, { call, at, orTrue, options }) => {
    await besideOthers(async (bus) => {
      for (const [key, taken] of Object.entries({ ...options, unknown: [] as Kind[] })) {
        for (const kind of KINDS) {
          const what = `${name} { ${key}: ${kind} }`;
          const run = () => call(bus, { [key]: VALUES[kind] });
          const path = at === undefined ? key : `${at}.${key}`;
          if (!taken.includes(kind)) await expectRefused(what, path, run);
          else await expectTaken(what, run);
        }
      }
      for (const kind of KINDS) {
        if (kind === 'object' || (orTrue && kind === 'boolean')) continue;
        const run = () => call(bus, VALUES[kind] as never);
        await expectRefused(`${name}(${kind})`, at ?? '', run);
      }
    });
  });

  test('arguments', async () => {
    const calls: Record<string, [(bus: EventBusClient, value: any) => unknown, Kind[], string?]> = {
      'publish type': [(bus, v) => bus.publish(v, 1), ['text']],
      'broadcast type': [(bus, v) => bus.broadcast(v, 1), ['text']],
      'publish data': [
        (bus, v) => bus.publish('unused', v),
        KINDS.filter((kind) => !['function', 'symbol', 'bigint'].includes(kind)),
        'data',
      ],
      'publishBatch items': [(bus, v) => bus.publishBatch(v), ['array'], 'items'],
      'publishBatch item': [
        async (bus, v) => {
          const [result] = await bus.publishBatch([v]);
          if (result?.status === 'rejected') throw result.reason;
        },
        [],
      ],
      'subscribe pattern': [
        async (bus, v) => (await bus.subscribe(v, () => {})).unsubscribe(),
        ['text', 'control'],
      ],
      'subscribe patterns': [
        async (bus, v) => (await bus.subscribe([v], () => {})).unsubscribe(),
        ['text', 'control'],
      ],
      'subscribe handler': [
        async (bus, v) => (await bus.subscribe('unused', v)).unsubscribe(),
        ['function'],
        'handler',
      ],
      'subscribeAll projection': [(bus, v) => bus.subscribeAll(v), [], 'projection'],
      'subscribeAll subscribedTo': [
        async (bus, v) => {
          const projection = { subscribedTo: () => v, handle() {} };
          await (await bus.subscribeAll(projection)).unsubscribe();
        },
        ['text', 'control'],
      ],
      'events pattern': [
        async (bus, v) => {
          const events = bus.events(v);
          await events.ready();
          await events.return();
        },
        ['text', 'control'],
      ],
      'unsubscribe id': [(bus, v) => bus.unsubscribe(v), ['text', 'empty', 'control'], 'id'],
      'subscriberCount pattern': [
        (bus, v) => bus.subscriberCount(v),
        ['text', 'empty', 'control'],
        'pattern',
      ],
      'escapePattern text': [(_, v) => escapePattern(v), ['text', 'empty', 'control'], 'text'],
    };
    for (const method of ['on', 'once', 'off'] as const) {
      calls[`${method} name`] = [(bus, v) => bus[method](v, () => {}), [], 'name'];
      calls[`${method} listener`] = [(bus, v) => bus[method]('ready', v), ['function'], 'listener'];
    }
    await besideOthers(async (bus) => {
      for (const [name, [call, taken, path]] of Object.entries(calls)) {
        for (const kind of KINDS) {
          const run = () => call(bus, VALUES[kind]);
          if (!taken.includes(kind)) await expectRefused(`${name} ${kind}`, path, run);
          else await expectTaken(`${name} ${kind}`, run);
        }
      }
    });
  });

  test('what is refused does not connect an idle client, nor close one', async () => {
    const bus = bench.create();
    await expectRefused('connect', 'timeout', () => bus.connect({ timeout: -1 }));
    await expectRefused('subscribe', 'concurrency', () =>
      bus.subscribe('a', () => {}, { concurrency: 0 }),
    );
    await expectRefused('publish', 'key', () => bus.publish('a', 1, { key: () => {} } as never));
    await expectRefused('data', 'data', () => bus.publish('a', 1n));
    expect(bus.state).toBe('idle');
    for (const close of ['disconnect', 'close'] as const) {
      await expectRefused(close, 'timeout', () => bus[close]({ timeout: 'x' } as never));
      await expectRefused(close, 'wait', () => bus[close]({ wait: true } as never));
      const error = await bus[close]({ timeout: -1 }).catch((e) => e);
      expect(error.stack.split('\n')[1]).toContain('bad-input.test.ts');
    }
    await bus.connect();
  });

  test('getters that throw fail the call alone', async () => {
    await besideOthers(async (bus) => {
      const trap = Object.defineProperty({}, 'key', {
        enumerable: true,
        get() {
          throw new Error('trap');
        },
      });
      for (const call of [
        () => bus.publish('unused', trap),
        () => bus.publish('unused', 1, trap as never),
        () => bus.publish('unused', { toJSON: () => JSON.parse('{') }),
        () => bus.subscribe('unused', () => {}, trap as never),
        () => bus.connect(trap as never),
      ]) {
        expect(await refusal(call)).toBeInstanceOf(Error);
      }
    });
  });
});

const CONFIG: Record<string, Kind[]> = {
  serviceName: ['text'],
  mode: [],
  memory: ['text'],
  channelPrefix: ['text', 'empty'],
  redis: ['object'],
  validation: ['object'],
  schemas: ['object', 'array', 'instance'],
  validateOnReceive: FLAG,
  retry: ['object'],
  inherit: FLAG,
  logger: [],
  logLevel: [],
  requireNoEviction: FLAG,
  performance: ['object'],
  'redis.url': [],
  'redis.host': ['text'],
  'redis.port': COUNT,
  'redis.username': ['text', 'empty', 'control'],
  'redis.password': ['text', 'empty', 'control'],
  'redis.database': COUNT,
  'redis.tls': ['boolean', 'object'],
  'redis.connectTimeout': COUNT,
  'redis.commandTimeout': COUNT,
  'redis.keepAlive': COUNT,
  // At least 100, so that none of the values fits.
  'redis.heartbeat': [],
  'redis.enableReadyCheck': FLAG,
  'redis.connectionName': ['text'],
  'redis.lazyConnect': FLAG,
  'redis.tls.ca': [],
  'redis.tls.cert': [],
  'redis.tls.key': [],
  'redis.tls.servername': ['text'],
  'redis.tls.rejectUnauthorized': FLAG,
  'validation.maxEventBytes': COUNT,
  'validation.maxDataBytes': COUNT,
  'retry.initialDelay': COUNT,
  'retry.maxDelay': COUNT,
  'retry.multiplier': ['number', 'fraction'],
  'retry.jitter': [],
  'performance.batchSize': COUNT,
  'performance.batchInterval': COUNT,
  'performance.maxRetries': COUNT,
  'performance.retryDelay': COUNT,
  'performance.maxInFlight': COUNT,
  'performance.maxInFlightBytes': COUNT,
  'redis.unknown': [],
  'redis.tls.unknown': [],
  'performance.unknown': [],
};

test('fields of the configuration', () => {
  const wrong: string[] = [];
  for (const [path, taken] of Object.entries(CONFIG)) {
    for (const kind of KINDS) {
      let config: unknown = VALUES[kind];
      for (const key of path.split('.').reverse()) config = { [key]: config };
      let error: any;
      try {
        new EventBusClient({ mode: 'memory', logLevel: 'error', ...(config as object) });
      } catch (e) {
        error = e;
      }
      const what = `${path}: ${kind}`;
      if (error === undefined) {
        if (!taken.includes(kind)) wrong.push(`${what} accepted`);
      } else if (!(error instanceof ValidationError)) wrong.push(`${what} threw ${error}`);
      else if (taken.includes(kind)) wrong.push(`${what} refused: ${error.message}`);
      else if (!`${error.path}.`.startsWith(`${path}.`))
        wrong.push(`${what} refused at ${error.path}`);
      else if (error.code !== 'ERR_BUS_INVALID_CONFIG') wrong.push(`${what} is ${error.code}`);
    }
  }
  expect(wrong).toEqual([]);
});
