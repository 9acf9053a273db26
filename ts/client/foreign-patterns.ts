/** Warns of patterns in the syntax of other systems, which match nothing here. */

import type { StreamConfig } from '../../index';
import type { Settings } from '../native/native';

/** So many patterns are remembered, and warned of. */
const MAX_WARNED = 100;

/** Characters that no event type has, and that are special elsewhere: AMQP, NATS, shells. */
const FOREIGN = /[#>{}]/;

/** Rooms and users may have names of any characters. */
const CHANNEL = /^(?:room|user):/;

/** What is wrong with a pattern of event types in the syntax of another system; undefined if nothing is. */
function foreign(pattern: string): string | undefined {
  const [found] = FOREIGN.exec(pattern) ?? [];
  if (found === undefined || CHANNEL.test(pattern)) return undefined;
  return `the pattern ${JSON.stringify(pattern)} has ${JSON.stringify(found)}, which no event type has and which means nothing in a pattern: patterns are those of Redis, with *, ? and [a-z]`;
}

/** The warnings of the configured streams, whose `events` match nothing then, so that nothing is stored. */
export function warningsOf(streams: readonly StreamConfig[] = []): Settings['notices'] {
  const patterns = new Set(streams.flatMap(({ events }) => events));
  return Array.from(patterns, foreign)
    .filter((message) => message !== undefined)
    .slice(0, MAX_WARNED)
    .map((message) => ({ level: 'warn', code: 'FOREIGN_PATTERN', message }));
}

export class ForeignPatterns {
  readonly #warned = new Set<string>();
  readonly #warn: (code: string, message: string) => void;

  constructor(warn: (code: string, message: string) => void) {
    this.#warn = warn;
  }

  /** Warns, once for each, of those of the patterns of event types that hold such a character. */
  check(patterns: readonly string[]): void {
    for (const pattern of patterns) {
      const message = foreign(pattern);
      if (message === undefined || this.#warned.has(pattern)) continue;
      if (this.#warned.size >= MAX_WARNED) return;
      this.#warned.add(pattern);
      this.#warn('FOREIGN_PATTERN', message);
    }
  }
}
