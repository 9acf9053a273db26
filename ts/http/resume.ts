/** Gives a client that has come back the events that it has missed, from what the bus keeps. */

import type { BusEvent, StreamConfig } from '../../index';
import type { Internals } from '../client/internals';
import { native } from '../native/native';
import { gapText, storedText } from './event-text';
import type { Feed } from './feed';
import type { StreamClient } from './stream-client';

/** So many bytes are written before the client has to have taken them. */
const PIECE = 64 * 1024;

export interface ResumeOptions {
  readonly named: boolean;
  /** Events that are looked through, and brought back, at the most. */
  readonly most: number;
  /** Bytes of live events that may come meanwhile. */
  readonly limit: number;
}

interface Missed {
  events: { id: string; text: string }[];
  /** Why there may be more; undefined: these are all. */
  reason?: 'not-stored' | 'not-found' | 'unavailable';
}

/**
 * Sends `gap` where something may be missing, then what came after the event `lastId`, then what has come meanwhile, each
 * once; from then on the client is one of the feed, but for what comes live behind the answer that had it. Resolves to whether there was a gap.
 */
export async function resume(
  internals: Internals | undefined,
  feed: Feed,
  client: StreamClient,
  lastId: string,
  options: ResumeOptions,
): Promise<boolean> {
  const live: { id: string; text: string }[] = [];
  const known = new Set<string>();
  let bytes = 0;
  const listener = (id: string, text: string) => {
    bytes += text.length;
    if (bytes > options.limit) client.drop();
    else live.push({ id, text });
  };
  feed.listen(listener);
  try {
    const missed = await missedBy(internals, feed.pattern, lastId, options);
    for (const { id } of missed.events) known.add(id);
    if (missed.reason !== undefined) {
      client.write(Buffer.from(gapText({ after: lastId, reason: missed.reason })), 0);
    }
    await send(client, missed.events);
    // Nothing is awaited from here on until the client is one of the feed.
    const fresh = live.filter(({ id }) => !known.delete(id));
    if (fresh.length > 0) {
      client.write(Buffer.from(fresh.map(({ text }) => text).join('')), fresh.length);
    }
    return missed.reason !== undefined;
  } finally {
    feed.unlisten(listener);
    if (!client.isClosed) feed.add(client, known);
  }
}

async function missedBy(
  internals: Internals | undefined,
  pattern: string,
  lastId: string,
  { named, most }: ResumeOptions,
): Promise<Missed> {
  const stored = internals !== undefined && storesAll(internals, pattern);
  if (internals === undefined || isChannel(pattern) || most === 0) {
    return { events: [], reason: 'not-stored' };
  }
  let kept: { events: string[]; complete: boolean };
  try {
    const query = { type: pattern, order: 'desc', limit: most, source: 'redis' };
    kept = await internals.ask('getHistory', query);
  } catch (error) {
    const { code } = error as { code?: unknown };
    const nothing = code === 'ERR_BUS_INVALID_OPTIONS';
    return { events: [], reason: nothing ? 'not-stored' : 'unavailable' };
  }
  const events: Missed['events'] = [];
  for (const json of kept.events) {
    const { id, type } = JSON.parse(json) as BusEvent;
    if (id === lastId) {
      events.reverse();
      return stored && kept.complete ? { events } : { events, reason: 'not-stored' };
    }
    events.push({ id, text: storedText(id, type, json, named) });
  }
  return { events: [], reason: 'not-found' };
}

/** Writes them in pieces, each when the one before has been taken. */
async function send(client: StreamClient, events: Missed['events']): Promise<void> {
  let [texts, size]: [string[], number] = [[], 0];
  for (const { text } of events) {
    texts.push(text);
    size += text.length;
    if (size < PIECE) continue;
    client.write(Buffer.from(texts.join('')), texts.length);
    [texts, size] = [[], 0];
    await client.drained();
    if (client.isClosed) return;
  }
  if (texts.length > 0) client.write(Buffer.from(texts.join('')), texts.length);
}

function isChannel(pattern: string): boolean {
  return pattern === 'broadcast' || pattern.startsWith('room:') || pattern.startsWith('user:');
}

/**
 * Whether each event of the pattern is kept, as far as the configuration tells: by `persistence`, or as one pattern of a stream
 * takes all that this one does.
 */
function storesAll({ config }: Internals, pattern: string): boolean {
  const { persistence, streams = [] } = config ?? {};
  if (persistence !== undefined && persistence.enabled !== false && persistence.history !== false) {
    return true;
  }
  return streams.some((stream) => patternsOf(stream).some((wider) => takesAll(wider, pattern)));
}

function patternsOf({ events }: StreamConfig): readonly string[] {
  return typeof events === 'string' ? [events] : events;
}

const SPECIAL = /[*?[\]\\]/;

/** Whether `wider` matches all that `pattern` does: known of the same, of exact types, and of a prefix. */
function takesAll(wider: string, pattern: string): boolean {
  if (wider === pattern) return true;
  if (!SPECIAL.test(pattern)) return native.matches(wider, pattern);
  const prefix = wider.endsWith('*') ? wider.slice(0, -1) : undefined;
  return prefix !== undefined && !SPECIAL.test(prefix) && pattern.startsWith(prefix);
}
