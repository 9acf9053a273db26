/** A server for the tests of a file, and for each of them a stream with a group, and a client that looks at both. */

import { EventBusClient, type StreamConfig } from '../..';
import { streamFor } from './durable';
import { RedisServer } from './redis-server';
import { Service } from './services';
import { keepingLogger } from './transports';

export let server: RedisServer;
export let stream: StreamConfig;
export let bus: EventBusClient;

/** Starts and ends them, and ends the services that a test has started. */
export function useOneGroup(): void {
  beforeAll(async () => {
    server = await RedisServer.start();
  });

  beforeEach(async () => {
    stream = streamFor('*', { consumerGroups: ['g'] });
    bus = new EventBusClient({ redis: server.url, streams: [stream], logger: keepingLogger() });
    await bus.connect();
  });

  afterEach(async () => {
    await Service.endAll();
    await bus.disconnect();
  });

  afterAll(() => server.stop());
}
