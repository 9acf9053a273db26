/** Streams of a test's own, and what a server holds of them. */

import { Redis } from 'ioredis';
import type { EventBusClient, StreamConfig } from '../..';
import type { Bench } from './transports';

let last = 0;

/** A stream that no other test of the file knows. */
export function streamFor(
  events: string | string[] = '*',
  config: Partial<StreamConfig> = {},
): StreamConfig {
  last += 1;
  return { name: `stream-${last}`, events, ...config };
}

/** The names and values of an entry, in their order. */
export type Entry = { id: string; fields: [string, string][] };

/** Commands to the server of a bench, on a connection of its own. */
export class Wire {
  readonly redis: Redis;

  constructor(port: number) {
    this.redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0 });
  }

  async entries(stream: string): Promise<Entry[]> {
    return (await this.redis.xrange(stream, '-', '+')).map(([id, flat]) => ({
      id,
      fields: flat.flatMap((name, at) => (at % 2 === 0 ? [[name, flat[at + 1] as string]] : [])),
    })) as Entry[];
  }

  /** Adds an entry as another program would. */
  async add(stream: string, fields: Record<string, string>): Promise<string> {
    return (await this.redis.xadd(stream, '*', ...Object.entries(fields).flat())) as string;
  }

  close(): void {
    this.redis.disconnect();
  }
}

/** A `Wire` to the server of the bench, which must have one. */
export function wireTo(bench: Bench): Wire {
  if (bench.server === undefined) throw new Error('there is no server in memory');
  return new Wire(bench.server.port);
}

/** What of a group is handed out and not acknowledged. */
export async function pendingOf(bus: EventBusClient, stream: string, group: string) {
  return (await bus.streams.pending(stream, group)).length;
}

/** Whether a group has read everything and settled it. */
export async function isDone(bus: EventBusClient, stream: string, group: string): Promise<boolean> {
  const { groups, lastId } = await bus.streams.info(stream);
  const found = groups.find(({ name }) => name === group);
  if (found === undefined) return false;
  return found.pending === 0 && (lastId === null || found.lastDeliveredId === lastId);
}
