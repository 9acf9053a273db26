/** Warns of patterns in the syntax of other systems, which match nothing here. */

/** So many patterns are remembered, and warned of. */
const MAX_WARNED = 100;

/** Characters that no event type has, and that are special elsewhere: AMQP, NATS, shells. */
const FOREIGN = /[#>{}]/;

/** Rooms and users may have names of any characters. */
const CHANNEL = /^(?:room|user):/;

export class ForeignPatterns {
  readonly #warned = new Set<string>();
  readonly #warn: (code: string, message: string) => void;

  constructor(warn: (code: string, message: string) => void) {
    this.#warn = warn;
  }

  /** Warns, once for each, of those of the patterns of event types that hold such a character. */
  check(patterns: readonly string[]): void {
    for (const pattern of patterns) {
      const [found] = FOREIGN.exec(pattern) ?? [];
      if (found === undefined || CHANNEL.test(pattern) || this.#warned.has(pattern)) continue;
      if (this.#warned.size >= MAX_WARNED) return;
      this.#warned.add(pattern);
      const message = `the pattern ${JSON.stringify(pattern)} has ${JSON.stringify(found)}, which no event type has and which means nothing in a pattern: patterns are those of Redis, with *, ? and [a-z]`;
      this.#warn('FOREIGN_PATTERN', message);
    }
  }
}
