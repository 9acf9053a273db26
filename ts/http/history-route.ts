/** `GET /history`: what the bus keeps, as it was stored; only a filter by correlation parses it. */

import type { BusEvent } from '../../index';
import type { Internals } from '../client/internals';
import type { Access } from './access';
import { type Answer, jsonAnswer } from './answer';
import type { Incoming } from './incoming';
import { Problem } from './problem';

/** So many events are looked through for a correlation. */
const SEARCHED = 10_000;
const DEFAULT_LIMIT = 100;
const NAMES = ['eventType', 'type', 'from', 'to', 'limit', 'order', 'source', 'correlationId'];

interface Query {
  type: string | undefined;
  from: string | number | undefined;
  to: string | number | undefined;
  limit: number;
  order: string;
  source: string | undefined;
  correlationId: string | undefined;
}

export class HistoryRoute {
  readonly #internals: Internals;
  readonly #access: Access;
  readonly #most: number;

  /** `most`: events in one answer. */
  constructor(internals: Internals, access: Access, most: number) {
    this.#internals = internals;
    this.#access = access;
    this.#most = most;
  }

  async answer(incoming: Incoming): Promise<Answer> {
    const query = readQuery(incoming.query, this.#most);
    await this.#access.demand(incoming, { name: 'history', type: query.type });
    const { correlationId, limit, ...rest } = query;
    const searches = correlationId !== undefined;
    const asked = { ...rest, limit: searches ? SEARCHED : limit };
    const { events, complete } = await this.#ask(asked);
    const found = searches ? correlated(events, correlationId).slice(0, limit) : events;
    // What lies behind the events that were looked through is not known.
    const whole = complete && !(searches && events.length === SEARCHED);
    return jsonAnswer(200, `{"events":[${found.join(',')}],"complete":${whole}}`);
  }

  async #ask(query: Record<string, unknown>): Promise<{ events: string[]; complete: boolean }> {
    try {
      return await this.#internals.ask('getHistory', query);
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ERR_BUS_INVALID_OPTIONS') throw error;
      throw new Problem(404, { detail: 'no history of such events is kept' });
    }
  }
}

function correlated(events: readonly string[], correlationId: string): string[] {
  return events.filter((text) => {
    const event = JSON.parse(text) as BusEvent;
    return event.metadata.correlationId === correlationId;
  });
}

function readQuery(query: URLSearchParams, most: number): Query {
  for (const name of query.keys()) {
    if (!NAMES.includes(name)) throw bad(`there is no parameter ${JSON.stringify(name)}`);
    if (query.getAll(name).length > 1) throw bad(`${name} comes twice`);
  }
  if (query.has('type') && query.has('eventType')) throw bad('give type or eventType');
  return {
    type: query.get('type') ?? query.get('eventType') ?? undefined,
    from: readTime(query, 'from'),
    to: readTime(query, 'to'),
    limit: readLimit(query.get('limit'), most),
    order: readOne(query, 'order', ['asc', 'desc']) ?? 'asc',
    source: readOne(query, 'source', ['redis', 'local', 'all']),
    correlationId: query.get('correlationId') ?? undefined,
  };
}

function readLimit(text: string | null, most: number): number {
  if (text === null) return Math.min(DEFAULT_LIMIT, most);
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > most) throw bad(`limit must be an integer from 1 to ${most}`);
  return limit;
}

function readOne(query: URLSearchParams, name: string, values: string[]): string | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  if (!values.includes(value)) throw bad(`${name} must be one of ${values.join(', ')}`);
  return value;
}

/** ms since 1970, or ISO 8601. */
function readTime(query: URLSearchParams, name: string): string | number | undefined {
  const value = query.get(name);
  if (value === null) return undefined;
  if (/^\d{1,15}$/.test(value)) return Number(value);
  if (/^\d{4}-\d\d-\d\d/.test(value) && !Number.isNaN(Date.parse(value))) return value;
  throw bad(`${name} must be a time: ISO 8601, or ms since 1970`);
}

function bad(detail: string): Problem {
  return new Problem(400, { detail });
}
