/** A server, and what the tests of a file put beside each other on it: clients of Oxbus, and their peers. */

import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { EventBusClient, type EventBusConfig } from '../..';
import { RedisServer } from '../support/redis-server';
import { runNode } from '../support/scripts';
import { keepingLogger } from '../support/transports';
import { roomy } from './awkward-payloads';

export const ROOT = join(__dirname, '..', '..');

/** The packages of a folder of `fixtures/` are installed once. */
const INSTALL_LIMIT = 300_000;

export interface Beside {
  /** The server; there is one while the tests run. */
  readonly server: RedisServer;
  /** A client that is connected. */
  client(config?: EventBusConfig): Promise<EventBusClient>;
  ioredis(): Redis;
  /** Runs after the test, the last one first. */
  closing(close: () => unknown): void;
}

export interface BesideOptions {
  /** Of every client. */
  config?: EventBusConfig;
  /** What else is made before the first test, within minutes. */
  prepare?: () => Promise<unknown>;
}

/** Sets a file of tests up: a server for all of its tests, and an end to all that a test has made. */
export function beside({ config: common, prepare }: BesideOptions = {}): Beside {
  const closes: (() => unknown)[] = [];
  let server: RedisServer | undefined;

  const running = (): RedisServer => {
    if (server === undefined) throw new Error('the server is there while tests run');
    return server;
  };

  beforeAll(async () => {
    await prepare?.();
    server = await RedisServer.start();
  }, INSTALL_LIMIT + 10_000);

  afterEach(async () => {
    for (const close of closes.splice(0).reverse()) await close();
    await running().command('FLUSHALL');
  });

  afterAll(() => server?.stop());

  return {
    get server() {
      return running();
    },
    async client(config = {}) {
      const logger = keepingLogger();
      const redis = running().url;
      const bus = new EventBusClient({ redis, logger, ...roomy, ...common, ...config });
      closes.push(() => bus.disconnect());
      await bus.connect();
      return bus;
    },
    ioredis() {
      const redis = new Redis(running().port, '127.0.0.1');
      closes.push(() => redis.disconnect());
      return redis;
    },
    closing: (close) => void closes.push(close),
  };
}

/** Installs the packages of `fixtures/wires`, as locked. */
export async function installWires(): Promise<void> {
  const install = [join(ROOT, 'scripts', 'fixtures.mjs'), 'wires'];
  const { code, err } = await runNode(install, { limit: INSTALL_LIMIT });
  if (code !== 0) throw new Error(`fixtures/wires was not installed: ${err}`);
}

/** Loads a package of `fixtures/wires`. */
export const fromWires = createRequire(join(ROOT, 'fixtures', 'wires', 'package.json'));
