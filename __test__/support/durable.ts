/** Streams of a test's own, and what a server holds of them. */

import { Redis } from 'ioredis';
import type { DeadLetterNotice, EventBusClient, StreamConfig } from '../..';
import type { Fixture } from './transports';

export const MESSAGE_ID = /^\d+-\d+$/;
export const ascending = (a: number, b: number) => a - b;
/** The numbers from 0 on. */
export const numbers = (count: number) => Array.from({ length: count }, (_, n) => n);
/** Publishes so many numbers at once. */
export const publishAll = (bus: EventBusClient, type: string, count: number) =>
  Promise.all(numbers(count).map((n) => bus.publish(type, n)));

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

/** Commands to the server of a fixture, on a connection of its own. */
export class RawRedis {
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

/** A `RawRedis` to the server of the fixture, which must have one. */
export function rawRedisOf(fixture: Fixture): RawRedis {
  if (fixture.server === undefined) throw new Error('there is no server in memory');
  return new RawRedis(fixture.server.port);
}

/** How many entries of a group were delivered and are not acknowledged. */
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

/**
 * Whether nobody is in a group. A client leaves in the background after the last `unsubscribe`: what it reads until then it hands
 * back, so others may get it behind newer events.
 */
export async function isEmpty(bus: EventBusClient, stream: string, group: string) {
  const { groups } = await bus.streams.info(stream);
  return groups.find(({ name }) => name === group)?.consumers.length === 0;
}

/** The dead letters that a client announces from now on. */
export function deadLettersOf(bus: EventBusClient): DeadLetterNotice[] {
  const deadLetters: DeadLetterNotice[] = [];
  bus.on('deadLetter', (deadLetter) => deadLetters.push(deadLetter));
  return deadLetters;
}
