/** Hears what is published live: by `PUBLISH`, and on the lanes of a Cluster with sharded pub/sub (docs/cluster.md). */

import type { Servers } from './servers';

/** What is told of a message: the channel, and what was published there, a character for each byte. */
export type Hear = (channel: string, message: string) => void;

export interface Listening {
  /** How many subscriptions the servers have taken. */
  readonly taken: number;
  /** Why they have not taken all; undefined where they have. */
  readonly refused?: string | undefined;
  close(): void;
}

/** Subscribes to all channels of `servers`, and to each of the `lanes`, by connections of its own. */
export async function listen(
  servers: Servers,
  lanes: readonly string[],
  maxBytes: number,
  hear: Hear,
): Promise<Listening> {
  const names = new Set(lanes);
  const onMessage: Hear = (channel, message) => {
    const inside = names.has(channel) ? onLane(message) : undefined;
    hear(inside?.channel ?? channel, inside?.message ?? message);
  };
  const ears = await servers.others({ encoding: 'latin1', maxReply: maxBytes, onMessage });
  const commands = [['PSUBSCRIBE', '*'], ...lanes.map((lane) => ['SSUBSCRIBE', lane])];
  let [taken, refused]: [number, string | undefined] = [0, undefined];
  const answers = await Promise.allSettled(commands.map((words) => ears.command(...words)));
  for (const [at, answer] of answers.entries()) {
    if (answer.status === 'fulfilled') taken += 1;
    else refused ??= `${commands[at]?.join(' ')}: ${reasonOf(answer.reason)}`;
  }
  return { taken, refused, close: () => ears.close() };
}

const reasonOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** The channel and the message that are within a message on a lane; undefined for what no client of a bus writes. */
export function onLane(message: string): { channel: string; message: string } | undefined {
  const [head, digits] = /^(\d{1,9}):/.exec(message) ?? [];
  if (head === undefined) return undefined;
  const end = head.length + Number(digits);
  if (end > message.length) return undefined;
  return { channel: message.slice(head.length, end), message: message.slice(end) };
}

/** The lanes that carry live events, as the clients of a Cluster have agreed; none where they travel by `PUBLISH`. */
export async function lanesOf(servers: Servers, prefix: string): Promise<string[]> {
  if (!servers.isCluster) return [];
  const fact = await servers.ask('GET', `${prefix}oxbus:pubsub`);
  const count = Number(/^sharded:(\d+)$/.exec(String(fact ?? ''))?.[1] ?? 0);
  if (count === 0) return [];
  const { native } = require('../native/native') as typeof import('../native/native');
  return native.lanes(prefix, count);
}
