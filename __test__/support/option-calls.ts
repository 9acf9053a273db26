/** Every call that takes options, and which kinds of values each option takes. */

import { type EventBusClient, EventValidator } from '../..';
import { COUNT, FLAG, IDENTIFIER, type Kind } from './values';

type Options = Record<string, unknown>;
/** One call that takes options: what it does with them, and which kinds each option takes. */
export interface Call {
  call(bus: EventBusClient, options: Options): unknown;
  /** Where the options are within those of the call. */
  at?: string;
  /** Whether the options themselves may be `true`. */
  orTrue?: boolean;
  options: Record<string, Kind[]>;
}

/** What stores the events of the calls, and only those. */
export const STREAMS = [{ name: 'x', events: 'unused', consumerGroups: ['x'] }];
/** Publishes that wait for replicas, of which there are none, do not wait for long. */
const BRIEFLY = { timeout: 20 };

const subscribe = async (bus: EventBusClient, options: object) =>
  (await bus.subscribe('unused', () => {}, options)).unsubscribe();
const isPlain = (value: unknown) =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
/** Options beside those that are needed; what is no object stays what it is. */
const beside = (needed: object, options: object): never =>
  (isPlain(options) ? { ...needed, ...options } : options) as never;

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
  stream: IDENTIFIER,
  // They need an id.
  deduplicate: [],
  replicas: COUNT,
  durable: FLAG,
  localOnly: [],
  redisOnly: [],
  timeout: COUNT,
  signal: [],
};

const iterateOptions: Call['options'] = {
  concurrency: COUNT,
  filter: ['object'],
  queue: ['object'],
  noEcho: FLAG,
  whenReady: FLAG,
  by: [],
  signal: [],
};

/** Of a subscription with a group. */
const groupOptions: Call['options'] = {
  group: IDENTIFIER,
  streams: IDENTIFIER,
  from: [],
  consumer: IDENTIFIER,
  orderBy: [],
  maxProcessing: COUNT,
  concurrency: COUNT,
  filter: ['object'],
  queue: [],
  noEcho: [],
  whenReady: FLAG,
  by: [],
  signal: [],
};
/** A place in a stream: a time of any kind, or a message id. */
const PLACE: Kind[] = ['number', 'negative', 'fraction'];

export const CALLS: Record<string, Call> = {
  connect: {
    call: (bus, options) => bus.connect(options),
    options: { timeout: ['number', 'fraction', 'infinity'], signal: [] },
  },
  waitUntilReady: {
    call: (bus, options) => bus.waitUntilReady(options),
    options: { timeout: ['number', 'fraction', 'infinity'], signal: [] },
  },
  publish: {
    call: (bus, options) => bus.publish('unused', 1, beside(BRIEFLY, options)),
    options: publishOptions,
  },
  broadcast: {
    call: (bus, options) => bus.broadcast('unused', 1, beside(BRIEFLY, options)),
    options: publishOptions,
  },
  'publish, of an id': {
    call: (bus, options) => bus.publish('unused', 1, beside({ id: 'x', ...BRIEFLY }, options)),
    options: { deduplicate: ['boolean', 'object'] },
  },
  'publish, deduplicate': {
    call: (bus, deduplicate) => bus.publish('unused', 1, { id: 'x', deduplicate }),
    at: 'deduplicate',
    orTrue: true,
    options: { ttl: COUNT },
  },
  publishBatch: {
    call: async (bus, options) => {
      const items = [{ type: 'unused', data: 1 }];
      const [result] = await bus.publishBatch(items, beside(BRIEFLY, options));
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
  'subscribe, group': {
    call: (bus, options) => subscribe(bus, beside({ group: 'x' }, options)),
    options: groupOptions,
  },
  'subscribe, batch': {
    call: (bus, batch) => subscribe(bus, { group: 'x', batch: beside({ size: 2 }, batch) }),
    at: 'batch',
    options: { size: COUNT, wait: COUNT },
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
  'events, group': {
    call: async (bus, options) => {
      const events = bus.events('unused', beside({ group: 'x' }, options));
      try {
        await events.ready();
      } finally {
        await events.return();
      }
    },
    options: { ...groupOptions, batch: [] },
  },
  'streams.pending': {
    call: (bus, options) => bus.streams.pending('x', 'x', options),
    options: { limit: COUNT },
  },
  'streams.recover': {
    call: (bus, options) => bus.streams.recover(options),
    options: {
      stream: IDENTIFIER,
      group: IDENTIFIER,
      minIdle: COUNT,
      maxRetries: COUNT,
      batchSize: COUNT,
    },
  },
  'streams.trim': {
    call: (bus, options) => bus.streams.trim('x', options as never),
    options: { maxLength: COUNT, minId: [], before: PLACE },
  },
  'deadLetters.list': {
    call: (bus, options) => bus.deadLetters.list(options),
    options: { stream: IDENTIFIER, limit: COUNT, after: [] },
  },
  'deadLetters.replay': {
    call: (bus, options) => bus.deadLetters.replay('x:dlq:1-0', options),
    options: { to: [] },
  },
  'deadLetters.replayAll': {
    call: (bus, options) => bus.deadLetters.replayAll(options),
    options: { stream: IDENTIFIER, group: IDENTIFIER, reason: IDENTIFIER, limit: COUNT, to: [] },
  },
  getHistory: {
    call: (bus, options) => bus.getHistory(options),
    options: {
      type: ['text', 'control'],
      from: PLACE,
      to: PLACE,
      limit: COUNT,
      source: [],
      order: [],
    },
  },
  replay: {
    call: (bus, options) => bus.replay(beside({ stream: 'x', handler() {} }, options)),
    options: {
      stream: IDENTIFIER,
      from: PLACE,
      to: PLACE,
      limit: COUNT,
      handler: ['function'],
      group: [],
      signal: [],
    },
  },
  EventValidator: {
    call: (_, options) => new EventValidator(options),
    at: 'validation',
    options: { maxEventBytes: COUNT, maxDataBytes: COUNT },
  },
};
