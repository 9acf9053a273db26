/** Logs: structured, one line for each change of a connection, and never a secret. */

import { Writable } from 'node:stream';
import { inspect } from 'node:util';
import pino from 'pino';
import winston from 'winston';
import { EventBusClient, type Logger } from '..';
import { eventually } from './support/eventually';
import { RedisServer } from './support/redis-server';
import { rejection } from './support/rejection';
import { keepingLogger } from './support/transports';

const PASSWORD = 'correct-horse-battery';

let server: RedisServer;

beforeAll(async () => {
  server = await RedisServer.start('--requirepass', PASSWORD);
});

afterAll(() => server.stop());

/** What a stream was given, as lines. */
class Sink extends Writable {
  text = '';

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }

  lines(): Record<string, unknown>[] {
    return this.text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }
}

const urlWith = (password: string) => server.url.replace('//', `//:${password}@`);

test.each<[string, (sink: Sink) => Logger, string]>([
  ['pino', (sink) => pino({ level: 'debug' }, sink), 'msg'],
  [
    'winston',
    (stream) =>
      winston.createLogger({
        level: 'debug',
        transports: [new winston.transports.Stream({ stream })],
      }),
    'message',
  ],
])('%s gets the message and the fields', async (_, loggerOn, message) => {
  const sink = new Sink();
  const bus = new EventBusClient({
    serviceName: 'api',
    redis: urlWith(PASSWORD),
    logger: loggerOn(sink),
    logLevel: 'debug',
  });
  await bus.connect();
  await bus.subscribe(
    'a',
    () => {
      throw new Error('a fault');
    },
    { retryOnError: false },
  );
  await bus.publish('a', 1);
  const failed = () => sink.lines().find((line) => String(line[message]).includes('a fault'));
  await eventually(() => failed() !== undefined);
  await bus.disconnect();
  const connected = sink.lines().filter((line) => line[message] === 'connected');
  expect(connected).toEqual([
    expect.objectContaining({ service: 'api', link: 'publisher' }),
    expect.objectContaining({ service: 'api', link: 'subscriber' }),
  ]);
  expect(failed()).toMatchObject({ service: 'api', code: 'ERR_BUS_HANDLER_FAILED', type: 'a' });
  // As the logger writes errors: pino with its serializer of `err`, winston with the field `stack`.
  const { err, stack } = failed() as { err?: { stack?: string }; stack?: string };
  expect(stack ?? err?.stack).toMatch(/^Error: a fault\n\s+at .*logs\.test\.ts/);
  expect(sink.text).not.toContain(PASSWORD);
});

test('an outage is two lines at warn, however many connections and attempts it has', async () => {
  const own = await RedisServer.start();
  const address = new URL(own.url).host;
  const logger = keepingLogger();
  const streams = [{ name: 's', events: 'stored.*' }];
  const bus = new EventBusClient({ redis: own.url, streams, logger, logLevel: 'info' });
  let attempts = 0;
  bus.on('reconnecting', () => {
    attempts += 1;
  });
  try {
    await bus.connect();
    await bus.subscribe('live', () => {});
    for (const group of ['a', 'b', 'c']) await bus.subscribe('stored.*', () => {}, { group });
    const before = logger.lines.length;
    await own.kill();
    await eventually(() => attempts >= 30);
    await own.restart();
    await bus.waitUntilReady({ timeout: 10_000 });
    const ended = () => logger.lines.some(({ message }) => message.startsWith('connected again'));
    await eventually(ended);
    const lines = logger.lines.slice(before);
    expect(lines.length).toBeLessThanOrEqual(10);
    // A connection that was just being made is told of before those that are lost.
    const ofOutage = lines.filter(
      ({ level, message, fields }) =>
        level === 'warn' && 'address' in fields && !message.startsWith('could not'),
    );
    expect(ofOutage).toMatchObject([
      { message: 'the connection is lost', fields: { address, code: 'ERR_BUS_CONNECTION_LOST' } },
      {
        message: expect.stringMatching(/^connected again after \d+(\.\d)? s$/),
        fields: { address, attempts: expect.any(Number), duration: expect.any(Number) },
      },
    ]);
  } finally {
    await bus.disconnect();
    await own.stop();
  }
});

test('a server that is not there yet is told of once, and again when it is', async () => {
  const own = await RedisServer.start();
  await own.kill();
  const logger = keepingLogger();
  const bus = new EventBusClient({ redis: own.url, logger, logLevel: 'warn' });
  try {
    await rejection(bus.connect({ timeout: 300 }));
    await own.restart();
    await bus.waitUntilReady({ timeout: 10_000 });
    await eventually(() => logger.lines.length === 2);
    expect(logger.lines).toMatchObject([
      {
        level: 'warn',
        message: 'could not connect, and will try again',
        fields: { link: 'publisher', code: 'ERR_BUS_CONNECTION_REFUSED' },
      },
      { level: 'warn', message: expect.stringMatching(/^connected after \d+(\.\d)? s$/) },
    ]);
  } finally {
    await bus.disconnect();
    await own.stop();
  }
});

test.each<object>([{ logLevel: 'silent' }, { logger: false }])(
  '%j: nothing is logged, whatever happens',
  async (config) => {
    const logger = keepingLogger();
    const own = await RedisServer.start();
    const written = (['debug', 'info', 'warn', 'error', 'log'] as const).map((name) =>
      jest.spyOn(console, name).mockImplementation(() => {}),
    );
    const bus = new EventBusClient({ redis: own.url, logger, ...config });
    try {
      await bus.connect();
      await bus.subscribe('a', () => Promise.reject(new Error('a fault')), { retryOnError: false });
      await bus.publish('a', 1);
      await eventually(() => bus.getStats().eventsFailed === 1);
      await own.kill();
      await eventually(() => bus.state === 'reconnecting');
    } finally {
      await bus.disconnect();
      await own.stop();
      for (const spy of written) {
        expect(spy.mock.calls).toEqual([]);
        spy.mockRestore();
      }
    }
    expect(logger.lines).toEqual([]);
  },
);

test.each(['stderr', 'stdout'] as const)('logger: %j writes all levels there', async (logger) => {
  const [to, not] = logger === 'stderr' ? (['error', 'log'] as const) : (['log', 'error'] as const);
  const lines = jest.spyOn(console, to).mockImplementation(() => {});
  const others = [not, 'info', 'warn', 'debug'] as const;
  const silent = others.map((name) => jest.spyOn(console, name).mockImplementation(() => {}));
  const bus = new EventBusClient({ mode: 'memory', memory: logger, logger, logLevel: 'debug' });
  await bus.subscribe('a', () => Promise.reject(new Error('a fault')), { retryOnError: false });
  await bus.publish('a', 1);
  await eventually(() => lines.mock.calls.some(([line]) => String(line).includes('a fault')));
  await bus.disconnect();
  const failed = lines.mock.calls
    .map(([line]) => String(line))
    .find((line) => / error /.test(line));
  expect(failed).toMatch(/oxbus: a handler of "a" failed: a fault \{.*\}\nError: a fault\n\s+at /);
  for (const spy of silent) {
    expect(spy.mock.calls).toEqual([]);
    spy.mockRestore();
  }
  lines.mockRestore();
});

test('events are logged at debug, some of them, with what they belong to and never what they hold', async () => {
  const logger = keepingLogger();
  const streams = [{ name: 'sampled', events: 'sampled.*' }];
  const bus = new EventBusClient({ redis: urlWith(PASSWORD), streams, logger, logLevel: 'debug' });
  let handled = 0;
  const count = () => {
    handled += 1;
  };
  await bus.connect();
  await bus.subscribe('sampled.*', count);
  await bus.subscribe('sampled.*', count, { group: 'samples' });
  for (let n = 0; n < 100; n++)
    await bus.publish('sampled.a', 'a payload', { correlationId: `c-${n}` });
  await eventually(() => handled === 200);
  await bus.disconnect();
  for (const [message, more] of [
    ['publishing', { channel: 'sampled.a' }],
    ['a live event came in', {}],
    ['entries were read; this is the first', { stream: 'sampled', group: 'samples' }],
  ] as const) {
    const lines = logger.lines.filter((line) => line.message === message);
    const first = { type: 'sampled.a', correlationId: 'c-0', event: expect.any(String), ...more };
    expect(lines[0]).toMatchObject({ level: 'debug', fields: first });
    expect(lines.length).toBeLessThan(100);
  }
  expect(inspect(logger.lines, { depth: 9 })).not.toContain('a payload');
});

test('no secret in a line, an error, or what the console shows', async () => {
  const logger = keepingLogger();
  const wrong = 'wrong-horse-battery';
  for (const redis of [urlWith(wrong), { url: server.url, username: 'nobody', password: wrong }]) {
    const bus = new EventBusClient({ redis, logger, logLevel: 'debug' });
    const errors: unknown[] = [];
    bus.on('error', (error) => errors.push(error));
    const error = await rejection(bus.connect());
    expect(error).toMatchObject({ code: 'ERR_BUS_AUTH_FAILED' });
    const health = await bus.healthCheck();
    const shown = inspect([error, errors, bus, bus.toJSON(), health, logger.lines], { depth: 9 });
    expect(shown).toContain('AUTH_FAILED');
    expect(shown).not.toContain(wrong);
    await bus.disconnect();
  }
  const bad = { redis: { url: urlWith(wrong), port: 'x' } } as never;
  expect(inspect(await rejection(new Promise(() => new EventBusClient(bad))))).not.toContain(wrong);
});

test('each client logs its own lines, from its own level on', async () => {
  const [loud, quiet] = [keepingLogger(), keepingLogger()];
  const streams = [{ name: 'logged', events: 'logged.*' }];
  const open = (logger: typeof loud, logLevel: 'debug' | 'warn') =>
    new EventBusClient({ redis: urlWith(PASSWORD), streams, logger, logLevel });
  const buses = [open(loud, 'debug'), open(quiet, 'warn')];
  const handled: unknown[] = [];
  try {
    for (const bus of buses) {
      await bus.connect();
      await bus.subscribe('live', (event) => void handled.push(event.data));
      const group = bus === buses[0] ? 'loud' : 'quiet';
      await bus.subscribe('logged.*', (event) => void handled.push(event.data), { group });
      // The reader of the group may still be connecting.
      await eventually(async () => (await bus.healthCheck()).status === 'healthy');
      await bus.streams.info('logged');
    }
    await buses[1]?.publish('logged.a', 'a payload');
    await eventually(() => handled.length === 2);
  } finally {
    await Promise.all(buses.map((bus) => bus.disconnect()));
  }
  expect(quiet.lines).toEqual([]);
  const address = new URL(server.url).host;
  const fieldsOf = (message: string) =>
    loud.lines
      .filter((line) => line.message === message)
      .map(({ level, fields }): Record<string, unknown> => ({ level, ...fields }));
  // The two clients have eight links; those of the other one are not in this log.
  const links = ['publisher', 'subscriber', 'consumer', 'reader:loud'];
  const connecting = fieldsOf('connecting');
  expect(connecting.map(({ link }) => link).sort()).toEqual([...links].sort());
  for (const line of connecting) {
    expect(line).toMatchObject({ level: 'debug', address, attempt: 1 });
  }
  const shaken = expect.objectContaining({
    level: 'debug',
    link: 'publisher',
    address,
    protocol: 'RESP3',
    version: expect.stringMatching(/^\d+\.\d+/),
    role: 'master',
  });
  expect(fieldsOf('the handshake is done')).toContainEqual(shaken);
  expect(fieldsOf('a subscription is confirmed')).toContainEqual(
    expect.objectContaining({ level: 'debug', link: 'subscriber', address, name: 'live' }),
  );
  expect(fieldsOf('the group is there')).toEqual([
    expect.objectContaining({ level: 'debug', stream: 'logged', group: 'loud', created: true }),
  ]);
  expect(fieldsOf('a request was answered')).toEqual([
    expect.objectContaining({ level: 'debug', method: 'streams.info' }),
  ]);
  expect(fieldsOf('the links were probed').at(-1)).toMatchObject({
    level: 'debug',
    status: 'healthy',
  });
  // What is said at the other levels does not depend on the level of the client.
  expect(fieldsOf('connected')).toContainEqual({
    level: 'info',
    service: expect.anything(),
    link: 'publisher',
  });
  for (const secret of [PASSWORD, 'a payload'])
    expect(inspect(loud.lines, { depth: 9 })).not.toContain(secret);
});

test('a failed attempt to connect says where and why at debug', async () => {
  const logger = keepingLogger();
  const wrong = 'wrong-horse-battery';
  const bus = new EventBusClient({ redis: urlWith(wrong), logger, logLevel: 'debug' });
  await rejection(bus.connect());
  await bus.disconnect();
  const failed = logger.lines.find(({ message }) => message === 'could not connect');
  expect(failed).toMatchObject({
    level: 'debug',
    fields: { link: 'publisher', address: new URL(server.url).host, code: 'ERR_BUS_AUTH_FAILED' },
  });
  expect(inspect(logger.lines, { depth: 9 })).not.toContain(wrong);
});
