/** Samples of what goes through a bus: live messages for a while, and the newest entries of streams. Bounded in bytes and in number. */

import { eventOf, type Format, formatOfEntry, formatOfMessage } from './formats';
import type { Hear, Listening } from './listening';
import { pairsOf, type Reply } from './reply';

/** So many channels are told apart, and the others are counted together. */
const MAX_CHANNELS = 256;
/** So many events are remembered by their ids. */
const MAX_EVENTS = 2000;
/** The newest entries of a stream that are looked at. */
const ENTRIES = 20;
/** Beyond these bytes a stream is not sampled: its entries are too large to be fetched in passing. */
const MAX_ENTRY_BYTES = 64 << 10;

/** What was seen of a channel or a stream in one format. */
export interface Seen {
  readonly kind: 'channel' | 'stream';
  readonly name: string;
  readonly format: Format;
  count: number;
}

/** A live event in Oxbus's own format. */
export interface LiveEvent {
  readonly id: string;
  readonly type: string;
}

export interface LiveSample {
  readonly seen: Seen[];
  readonly events: LiveEvent[];
  readonly messages: number;
  readonly bytes: number;
  /** Whether it ended early, as `maxBytes` were read. */
  readonly isCut: boolean;
  /** Why nothing, or not all, could be heard. */
  readonly refused?: string | undefined;
  /** Whether anything could be. */
  readonly isHeard: boolean;
}

/** Hears what `listen` subscribes to for `duration` ms, or until `maxBytes` have come, and ends that. */
export async function sampleLive(
  listen: (hear: Hear) => Promise<Listening>,
  duration: number,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<LiveSample> {
  const seen = new Map<string, Seen>();
  const events: LiveEvent[] = [];
  let [messages, bytes, isCut] = [0, 0, false];
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const hear: Hear = (channel, message) => {
    if (isCut) return;
    messages += 1;
    bytes += channel.length + message.length;
    note(seen, 'channel', channel, formatOfMessage(channel, message));
    const event = events.length < MAX_EVENTS ? eventOf(message) : undefined;
    if (event !== undefined) events.push(event);
    if (bytes < maxBytes) return;
    isCut = true;
    end();
  };
  const { taken, refused, close } = await listen(hear);
  const timer = setTimeout(end, duration);
  signal?.addEventListener('abort', end, { once: true });
  try {
    if (taken > 0 && !signal?.aborted) await ended;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', end);
    close();
  }
  return { seen: [...seen.values()], events, messages, bytes, isCut, refused, isHeard: taken > 0 };
}

/** The entries of an answer to `XRANGE` and the like. */
export function entriesOf(reply: Reply | undefined): { id: string; fields: Map<string, string> }[] {
  if (!Array.isArray(reply)) return [];
  return reply.flatMap((entry) => {
    const [id, fields] = Array.isArray(entry) ? entry : [];
    if (typeof id !== 'string' || fields === undefined) return [];
    const texts = [...pairsOf(fields)].map(([name, value]) => [name, String(value)] as const);
    return [{ id, fields: new Map(texts) }];
  });
}

/** A look at the newest entries of a stream; `skipped` says why there was none. */
export async function sampleStream(
  name: string,
  servers: { ask(...words: string[]): Promise<Reply | undefined> },
): Promise<{ seen: Seen[]; types: string[]; skipped?: string }> {
  const seen = new Map<string, Seen>();
  const types = new Set<string>();
  const used = await servers.ask('MEMORY', 'USAGE', name, 'SAMPLES', '1');
  const length = await servers.ask('XLEN', name);
  const each = typeof used === 'number' && typeof length === 'number' ? used / (length || 1) : 0;
  if (each > MAX_ENTRY_BYTES) {
    return {
      seen: [],
      types: [],
      skipped: `its entries have about ${Math.round(each)} bytes each`,
    };
  }
  const reply = await servers.ask('XREVRANGE', name, '+', '-', 'COUNT', String(ENTRIES));
  for (const { fields } of entriesOf(reply)) {
    note(seen, 'stream', name, formatOfEntry(fields));
    const type = fields.get('eventType') ?? fields.get('event_type');
    if (type !== undefined) types.add(type);
  }
  return { seen: [...seen.values()], types: [...types] };
}

function note(seen: Map<string, Seen>, kind: Seen['kind'], name: string, format: Format): void {
  const key = `${name}\0${format.name}`;
  const known = seen.get(key);
  if (known !== undefined) known.count += 1;
  else if (seen.size < MAX_CHANNELS) seen.set(key, { kind, name, format, count: 1 });
  else {
    const others = seen.get('');
    if (others !== undefined) others.count += 1;
    else seen.set('', { kind, name: 'other channels', format, count: 1 });
  }
}
