/** Runs a test body on both transports, with clients that are closed after each test. */

import { EventBusClient, type EventBusConfig, type LogLevel } from '../..';
import { RedisServer } from './redis-server';

export interface Line {
  level: LogLevel;
  message: string;
  fields: Record<string, unknown>;
}

/** A logger that keeps what it is told. */
export function keepingLogger() {
  const lines: Line[] = [];
  const keep = (level: LogLevel) => (message: string, fields: Record<string, unknown>) => {
    lines.push({ level, message, fields });
  };
  return {
    lines,
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
  };
}

export interface Fixture {
  readonly transport: 'memory' | 'redis';
  /** A client that is not yet connected; clients of one test reach each other. */
  create<Events = Record<string, any>>(config?: EventBusConfig): EventBusClient<Events>;
  /** A connected one. */
  open<Events = Record<string, any>>(config?: EventBusConfig): Promise<EventBusClient<Events>>;
  /** The server; undefined in memory. */
  readonly server: RedisServer | undefined;
}

class TransportFixture implements Fixture {
  readonly transport: 'memory' | 'redis';
  server: RedisServer | undefined;
  #clients: EventBusClient[] = [];
  #run = 0;

  constructor(transport: 'memory' | 'redis') {
    this.transport = transport;
  }

  create<Events>(config: EventBusConfig = {}): EventBusClient<Events> {
    const where: EventBusConfig =
      this.server === undefined
        ? { mode: 'memory', memory: `test-${this.#run}` }
        : { redis: this.server.url, channelPrefix: `test-${this.#run}:` };
    const client = new EventBusClient<Events>({ logger: keepingLogger(), ...where, ...config });
    this.#clients.push(client as unknown as EventBusClient);
    return client;
  }

  async open<Events>(config?: EventBusConfig): Promise<EventBusClient<Events>> {
    const client = this.create<Events>(config);
    await client.connect();
    return client;
  }

  async closeAll(): Promise<void> {
    this.#run += 1;
    await Promise.all(this.#clients.splice(0).map((client) => client.disconnect({ timeout: 500 })));
  }
}

/** Describes `body` for each transport. */
export function onTransports(
  transports: readonly ('memory' | 'redis')[],
  body: (fixture: Fixture) => void,
): void {
  for (const transport of transports) {
    describe(transport, () => {
      const fixture = new TransportFixture(transport);
      beforeAll(async () => {
        if (transport === 'redis') fixture.server = await RedisServer.start();
      });
      afterEach(() => fixture.closeAll());
      afterAll(() => fixture.server?.stop());
      body(fixture);
    });
  }
}

export function onBothTransports(body: (fixture: Fixture) => void): void {
  onTransports(['memory', 'redis'], body);
}
