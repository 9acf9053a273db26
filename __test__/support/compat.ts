/** Runs a test body of an adapter in memory and on a real server, and closes after each test what it has opened. */

import type { EventBusConfig } from '../..';
import { RedisServer } from './redis-server';
import { keepingLogger } from './transports';

/** An adapter. */
interface Closable {
  disconnect?(options?: { timeout?: number }): Promise<unknown>;
  shutdown?(): Promise<unknown>;
}

export interface Place {
  readonly transport: 'memory' | 'redis';
  /** Options of a client of this test; clients of one test reach each other. */
  readonly options: EventBusConfig & { redis?: string };
  readonly server: RedisServer | undefined;
  /** Closes it after the test. */
  closing<T extends Closable>(bus: T): T;
}

class TestPlace implements Place {
  readonly transport: 'memory' | 'redis';
  server: RedisServer | undefined;
  readonly #open: Closable[] = [];
  #run = 0;

  constructor(transport: 'memory' | 'redis') {
    this.transport = transport;
  }

  get options(): EventBusConfig & { redis?: string } {
    const logger = keepingLogger();
    return this.server === undefined
      ? { mode: 'memory', memory: `compat-${this.#run}`, logger }
      : { redis: this.server.url, logger };
  }

  closing<T extends Closable>(bus: T): T {
    this.#open.push(bus);
    return bus;
  }

  async closeAll(): Promise<void> {
    this.#run += 1;
    await Promise.all(
      this.#open.splice(0).map((bus) => bus.disconnect?.({ timeout: 500 }) ?? bus.shutdown?.()),
    );
    await this.server?.command('FLUSHALL');
  }
}

export function inBothPlaces(body: (place: Place) => void): void {
  for (const transport of ['memory', 'redis'] as const) {
    describe(transport, () => {
      const place = new TestPlace(transport);
      beforeAll(async () => {
        if (transport === 'redis') place.server = await RedisServer.start();
      });
      afterEach(() => place.closeAll());
      afterAll(() => place.server?.stop());
      body(place);
    });
  }
}
