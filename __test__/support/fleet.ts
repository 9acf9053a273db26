/** Five services over one Redis, which note what they publish and what they hear. */

import type { RedisServer } from './redis-server';
import { type Note, Service } from './services';

export const ORDERS = { name: 'orders', events: 'order.*', consumerGroups: ['billing', 'audit'] };

/** What a service of the fleet does. */
interface Role {
  mode: 'hybrid' | 'redis';
  /** Publishes orders, and says things in the room. */
  sells?: boolean;
  /** Hears orders live. */
  watches?: boolean;
  /** Handles orders for a group. */
  group?: string;
}

const ROLES: Record<string, Role> = {
  'gateway-1': { mode: 'hybrid', sells: true },
  'gateway-2': { mode: 'hybrid', sells: true, watches: true },
  'billing-1': { mode: 'hybrid', group: 'billing' },
  'billing-2': { mode: 'hybrid', group: 'billing' },
  audit: { mode: 'redis', group: 'audit' },
};

/**
 * Runs in each process. SIGUSR1: publish, one thing after the other, until SIGUSR2, then note `stopped` when
 * all is settled. SIGTERM: disconnect.
 */
const CODE = `
  const { name, role } = args;
  const bus = new oxbus.EventBusClient({
    serviceName: name, mode: role.mode, redis: { url: args.url, commandTimeout: 2000 },
    streams: [args.orders], lease: 3000, logLevel: 'error',
  });
  bus.on('gap', ({ from, to, patterns, complete }) => {
    note('gap', { from: new Date(from).getTime(), to: new Date(to).getTime(), patterns, complete });
  });
  bus.on('warning', ({ code }) => note('warning', { code }));
  for (const event of ['ready', 'messagesLost', 'deadLetter']) bus.on(event, () => note(event));
  bus.on('error', ({ code }) => note('error', { code }));
  const heard = (kind) => ({ id, type }) => note(kind, { id, type });
  await bus.subscribe('tick', heard('heard'));
  await bus.subscribe('said', heard('heard'));
  if (role.watches) await bus.subscribe('order.*', heard('watched'));
  if (role.group) await bus.subscribe('order.*', heard(role.group), { group: role.group });
  if (role.sells) await bus.joinRoom('floor', { member: name });
  await bus.waitUntilReady();

  let running = true;
  const under = new Set();
  let last = 0;
  const publish = (what, call) => {
    const id = name + '-' + what + '-' + ++last;
    const from = Date.now();
    const told = ({ local, remote = 'resolved' }) => note('published', { id, what, from, local, remote });
    const failed = ({ outcome }) => note('published', { id, what, from, remote: outcome, failed: true });
    const settled = call({ id }).then(told, failed).finally(() => under.delete(settled));
    under.add(settled);
  };
  const publishing = async () => {
    while (running) {
      publish('tick', (options) => bus.publish('tick', {}, options));
      if (role.sells) {
        publish('order', (options) => bus.publish('order.placed', {}, options));
        publish('said', (options) => bus.publishToRoom('floor', 'said', {}, options));
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    while (under.size > 0) await Promise.all(under);
    note('stopped');
  };
  process.once('SIGUSR1', () => void publishing());
  process.once('SIGUSR2', () => (running = false));
  process.once('SIGTERM', async () => {
    await bus.disconnect();
    note('closed');
  });
  note('serving');`;

/** A publish as its service has noted it. */
export interface Published extends Note {
  id: string;
  what: 'tick' | 'order' | 'said';
  by: string;
  /** When it was called; \`at\` is when it was settled. */
  from: number;
  remote: 'resolved' | 'rejected' | 'not_sent' | 'unknown';
  local?: number;
  failed?: true;
}

export class Fleet {
  readonly services = new Map<string, Service>();
  readonly hybrid: Service[] = [];

  constructor(server: RedisServer) {
    for (const [name, role] of Object.entries(ROLES)) {
      const service = new Service(CODE, { name, role, url: server.url, orders: ORDERS });
      this.services.set(name, service);
      if (role.mode === 'hybrid') this.hybrid.push(service);
    }
  }

  get all(): Service[] {
    return [...this.services.values()];
  }

  signal(signal: NodeJS.Signals): void {
    for (const service of this.all) service.signal(signal);
  }

  /** All publishes of all services. */
  published(): Published[] {
    return [...this.services].flatMap(([by, service]) =>
      service.notes('published').map((note) => ({ ...note, by }) as unknown as Published),
    );
  }
}

/** How often each id was noted. */
export function times(notes: Note[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { id } of notes) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
