/** `GET /stream`: server-sent events. */

import type { EventBusClient } from '../../index';
import type { Internals } from '../client/internals';
import { setImmediate } from '../runtime/clock';
import type { Access } from './access';
import { type Answer, textAnswer } from './answer';
import type { Counters } from './counters';
import { Feed } from './feed';
import { type Incoming, utf8Header } from './incoming';
import type { StreamSettings } from './options';
import { Problem } from './problem';
import { resume } from './resume';
import { StreamClient } from './stream-client';

const HEARTBEAT = Buffer.from(':\n\n');
/** As the bus has it for ids; a longer one names no event. */
const MAX_ID = 512;

/** What a gap of the connection to Redis is for the clients. */
interface BusGap {
  from: string;
  to: string;
  patterns: string[];
  complete: boolean;
}

export class StreamRoute {
  readonly #bus: EventBusClient;
  readonly #internals: Internals | undefined;
  readonly #settings: StreamSettings;
  readonly #access: Access;
  readonly #counters: Counters;
  readonly #onError: (error: unknown) => void;
  /** By pattern, with the number of those who need it. */
  readonly #feeds = new Map<string, { feed: Feed; users: number }>();
  readonly #clients = new Set<StreamClient>();
  readonly #preamble: Buffer;
  #beats: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(
    bus: EventBusClient,
    internals: Internals | undefined,
    settings: StreamSettings,
    access: Access,
    counters: Counters,
    onError: (error: unknown) => void,
  ) {
    this.#bus = bus;
    this.#internals = internals;
    this.#settings = settings;
    this.#access = access;
    this.#counters = counters;
    this.#onError = onError;
    this.#preamble = Buffer.from(`retry: ${settings.retry}\n\n`);
    bus.on('gap', this.#gap);
    bus.on('closed', this.#end);
  }

  async answer(incoming: Incoming): Promise<Answer> {
    const patterns = incoming.query.getAll('pattern');
    if (patterns.length > 1) throw new Problem(400, { detail: 'give one pattern' });
    const pattern = patterns[0] ?? '*';
    const lastId = lastIdOf(incoming);
    await this.#access.demand(incoming, { name: 'stream', pattern });
    if (this.#isClosed) throw new Problem(503, {}, { 'retry-after': '1' });
    if (this.#clients.size >= this.#settings.maxClients) {
      this.#counters.refused += 1;
      throw new Problem(503, {}, { 'retry-after': '5' });
    }
    const client = this.#makeClient(pattern, lastId);
    try {
      await this.#feed(pattern).ready();
    } catch (error) {
      client.closed();
      throw error;
    }
    const answer = textAnswer(200, 'text/event-stream', '');
    // `no-transform`: a proxy that compresses would keep events back.
    answer.headers['cache-control'] = 'no-store, no-transform';
    answer.headers['x-accel-buffering'] = 'no';
    answer.stream = client;
    return answer;
  }

  /** Ends all streams and takes no new ones. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#bus.off('gap', this.#gap);
    this.#bus.off('closed', this.#end);
    const feeds = [...this.#feeds.values()];
    this.#end();
    await Promise.all(feeds.map(({ feed }) => feed.close()));
  }

  readonly #end = (): void => {
    for (const client of [...this.#clients]) client.end();
  };

  readonly #gap = ({ from, to, patterns, complete }: BusGap): void => {
    if (complete) return;
    for (const { feed } of this.#feeds.values()) {
      if (patterns.includes(feed.pattern)) feed.gap({ from, to, reason: 'connection-lost' });
    }
  };

  /** A client counts from here on: what is on its way is bounded as well. */
  #makeClient(pattern: string, lastId: string | undefined): StreamClient {
    const { maxBufferBytes } = this.#settings;
    const feed = this.#acquire(pattern);
    let isOpen = false;
    const started = (client: StreamClient) => {
      isOpen = true;
      this.#counters.streamsOpen += 1;
      this.#counters.streamsOpened += 1;
      this.#start(client, feed, lastId);
    };
    const ended = (client: StreamClient) => {
      feed.remove(client);
      this.#clients.delete(client);
      if (isOpen) this.#counters.streamsOpen -= 1;
      this.#release(pattern);
      if (this.#clients.size === 0) this.#stopBeats();
    };
    const client = new StreamClient(this.#counters, maxBufferBytes, started, ended);
    this.#clients.add(client);
    this.#startBeats();
    return client;
  }

  #start(client: StreamClient, feed: Feed, lastId: string | undefined): void {
    client.write(this.#preamble, 0);
    if (lastId === undefined) {
      feed.add(client);
      return;
    }
    const { named, maxResume, maxBufferBytes } = this.#settings;
    const options = { named, most: maxResume, limit: maxBufferBytes };
    resume(this.#internals, feed, client, lastId, options).then((gap) => {
      if (gap) this.#counters.gaps += 1;
    }, this.#onError);
  }

  #feed(pattern: string): Feed {
    return (this.#feeds.get(pattern) as { feed: Feed }).feed;
  }

  #acquire(pattern: string): Feed {
    const held = this.#feeds.get(pattern);
    if (held !== undefined) {
      held.users += 1;
      return held.feed;
    }
    const feed = new Feed(this.#bus, pattern, this.#counters, this.#settings.named);
    this.#feeds.set(pattern, { feed, users: 1 });
    return feed;
  }

  #release(pattern: string): void {
    const held = this.#feeds.get(pattern);
    if (held === undefined) return;
    held.users -= 1;
    if (held.users > 0) return;
    this.#feeds.delete(pattern);
    void held.feed.close();
  }

  #startBeats(): void {
    if (this.#beats !== undefined) return;
    const beat = () => {
      for (const client of [...this.#clients]) client.beat(HEARTBEAT);
    };
    // Behind the sockets of this turn: an event loop that was blocked has to let clients take something first.
    this.#beats = setInterval(() => setImmediate(beat), this.#settings.heartbeat);
    this.#beats.unref();
  }

  #stopBeats(): void {
    clearInterval(this.#beats);
    this.#beats = undefined;
  }
}

/** `EventSource` sends the header; a client that cannot set headers may use the query. */
function lastIdOf(incoming: Incoming): string | undefined {
  const header = incoming.header('last-event-id');
  const id = header === undefined ? incoming.query.get('lastEventId') : utf8Header(header);
  return id === null || id === '' ? undefined : id.slice(0, MAX_ID);
}
