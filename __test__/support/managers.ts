/** Managers that are shut down after each test, in an environment without settings. */

import { EventBusManager, type EventBusManagerOptions, type ReceivedFlatEvent } from '../..';
import { RedisServer } from './redis-server';
import { Service } from './services';
import { keepingLogger } from './transports';

const VARIABLES = ['REDIS_URL', 'REDIS_HOST', 'ENABLE_REDIS_EVENTS', 'NODE_ENV', 'SERVICE_NAME'];
const saved = { ...process.env };
const managers: EventBusManager[] = [];
let run = 0;

const place = () => ({ memory: `manager-${run}`, channelPrefix: `manager-${run}:` });

/** Starts a server for the tests of a file, and ends what each of them has opened. */
export function withManagers() {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  beforeEach(() => {
    run += 1;
    for (const name of VARIABLES) delete process.env[name];
  });
  afterEach(async () => {
    process.env = { ...saved };
    await Promise.all(managers.splice(0).map((manager) => manager.shutdown({ timeout: 500 })));
    await Service.endAll();
  });
  afterAll(() => server.stop());
  return {
    get server() {
      return server;
    },
    /** Where the bus of this test is; no other test has it. */
    get place() {
      return place();
    },
  };
}

/** A manager; those of one test reach each other. */
export function create(options: EventBusManagerOptions = {}): EventBusManager {
  const manager = new EventBusManager({ logger: keepingLogger(), ...place(), ...options });
  managers.push(manager);
  return manager;
}

/** What a handler of the manager has got. */
export function collect() {
  const events: ReceivedFlatEvent[] = [];
  return {
    events,
    types: () => events.map(({ type }) => type),
    add: (e: ReceivedFlatEvent) => void events.push(e),
  };
}
