/** Matchers for `expect.extend` of Jest and Vitest. */

import { inspect } from 'node:util';
import type { BusEvent, DeadLetter } from '../../index';
import type { MatcherContext, MatcherResult } from '../../testing';
import { native } from '../native/native';

/** So many events are shown in a message. */
const MAX_SHOWN = 10;

interface Publishes {
  published(pattern?: string): BusEvent[];
}

interface Keeps {
  undelivered(pattern?: string): (BusEvent & { state: string; group?: string })[];
  deadLetters: { list(query: { limit: number }): Promise<DeadLetter[]> };
}

export const matchers = {
  toHavePublished(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    ...data: [data?: unknown]
  ): MatcherResult {
    const published = publisher(bus, 'toHavePublished').published(pattern);
    const found = published.filter((event) => data.length === 0 || fits(this, event.data, data[0]));
    const wanted = `${quoted(pattern)}${data.length === 0 ? '' : ` with data ${shown(data[0])}`}`;
    const others = published.length > 0 ? published : publisher(bus, '').published();
    return {
      pass: found.length > 0,
      message: () =>
        found.length > 0
          ? `expected no event of ${wanted} to be published, but these were:\n${list(found)}`
          : `expected an event of ${wanted} to be published; published were:\n${list(others)}`,
    };
  },

  toHavePublishedTimes(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    times: number,
  ): MatcherResult {
    const published = publisher(bus, 'toHavePublishedTimes').published(pattern);
    const pass = published.length === times;
    return {
      pass,
      message: () =>
        `expected ${pass ? 'another number than ' : ''}${times} of ${quoted(pattern)} to be published, but ${published.length} were:\n${list(published)}`,
    };
  },

  toHaveDelivered(this: MatcherContext, bus: unknown, pattern?: string): MatcherResult {
    const left = keeper(bus, 'toHaveDelivered').undelivered(pattern);
    const what = pattern === undefined ? 'event' : `event of ${quoted(pattern)}`;
    return {
      pass: left.length === 0,
      message: () =>
        left.length === 0
          ? `expected an ${what} to be left over`
          : `expected every ${what} to be delivered, but these are left over:\n${list(left)}`,
    };
  },

  async toHaveDeadLetter(
    this: MatcherContext,
    bus: unknown,
    pattern: string,
    ...data: [data?: unknown]
  ): Promise<MatcherResult> {
    const letters = await keeper(bus, 'toHaveDeadLetter').deadLetters.list({ limit: 10_000 });
    const found = letters.filter(
      ({ event }) =>
        event !== null &&
        native.matches(pattern, event.type) &&
        (data.length === 0 || fits(this, event.data, data[0])),
    );
    const wanted = `${quoted(pattern)}${data.length === 0 ? '' : ` with data ${shown(data[0])}`}`;
    return {
      pass: found.length > 0,
      message: () =>
        found.length > 0
          ? `expected no dead letter of ${wanted}, but there are:\n${listLetters(found)}`
          : `expected a dead letter of ${wanted}; there are:\n${listLetters(letters)}`,
    };
  },
};

function publisher(bus: unknown, matcher: string): Publishes {
  if (typeof (bus as Partial<Publishes> | null)?.published === 'function') return bus as Publishes;
  throw new TypeError(`${matcher}() takes a bus of createTestBus(), or a client of one`);
}

function keeper(bus: unknown, matcher: string): Keeps {
  if (typeof (bus as Partial<Keeps> | null)?.undelivered === 'function') return bus as Keeps;
  throw new TypeError(`${matcher}() takes a bus of createTestBus()`);
}

/** Whether data has the members that are expected, by the rules of the runner where it has such. */
function fits({ equals, utils }: MatcherContext, data: unknown, expected: unknown): boolean {
  const { subsetEquality, iterableEquality } = (utils ?? {}) as Record<string, never>;
  const testers = [iterableEquality, subsetEquality].filter((tester) => tester !== undefined);
  return equals(data, expected, testers as never[]);
}

function quoted(pattern: string): string {
  return JSON.stringify(pattern);
}

function shown(value: unknown): string {
  return inspect(value, { depth: 4, breakLength: 100 });
}

function list(events: readonly (BusEvent & { state?: string; group?: string })[]): string {
  return lines(events, ({ type, data, state, group }) => {
    const place = [state, group && `group ${group}`].filter(Boolean).join(', ');
    return `${type} ${shown(data)}${place === '' ? '' : ` (${place})`}`;
  });
}

function listLetters(letters: readonly DeadLetter[]): string {
  return lines(letters, ({ event, group, error }) => {
    const what =
      event === null ? 'an entry without an event' : `${event.type} ${shown(event.data)}`;
    return `${what} (group ${group}: ${error.message})`;
  });
}

function lines<T>(items: readonly T[], line: (item: T) => string): string {
  if (items.length === 0) return '  none';
  const more = items.length > MAX_SHOWN ? [`  and ${items.length - MAX_SHOWN} more`] : [];
  return [...items.slice(0, MAX_SHOWN).map((item) => `  ${line(item)}`), ...more].join('\n');
}
