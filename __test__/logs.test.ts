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
  expect(sink.text).not.toContain(PASSWORD);
});

test('one line for each change of a connection', async () => {
  const own = await RedisServer.start();
  const logger = keepingLogger();
  const bus = new EventBusClient({ redis: own.url, logger, logLevel: 'info' });
  const lines = (text: string) => logger.lines.filter(({ message }) => message.includes(text));
  try {
    await bus.connect();
    expect(lines('connected')).toHaveLength(1);
    await own.kill();
    await eventually(() => bus.state === 'reconnecting');
    await own.restart();
    await bus.waitUntilReady({ timeout: 10_000 });
    await eventually(
      () => lines('connected').filter((l) => l.message === 'connected').length === 2,
    );
    const lost = logger.lines.filter(
      ({ level, fields }) =>
        level === 'warn' && fields.link === 'publisher' && !('attempt' in fields),
    );
    expect(lost).toHaveLength(1);
    const attempts = logger.lines.filter(({ fields }) => 'attempt' in fields);
    expect(attempts.map(({ fields }) => fields.attempt)).toEqual(attempts.map((_, n) => n + 1));
  } finally {
    await bus.disconnect();
    await own.stop();
  }
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
      await bus.healthCheck();
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
  expect(fieldsOf('the links were probed')).toEqual([
    expect.objectContaining({ level: 'debug', status: 'healthy' }),
  ]);
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
