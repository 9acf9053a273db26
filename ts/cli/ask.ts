/** Asking before something is destroyed, and showing how far it is. */

import { createInterface } from 'node:readline/promises';
import { EXIT, Failure } from './failure';
import type { Given } from './given';
import type { Session } from './session';

/** Resolves if it may be done: by `--yes`, or by the answer of who sits at the terminal. Rejects otherwise. */
export async function confirmed(session: Session, { flags }: Given, what: string): Promise<void> {
  if (flags.has('yes')) return;
  if (process.stdin.isTTY !== true) {
    throw new Failure(EXIT.usage, `${what}: give --yes where nobody can be asked`);
  }
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`${what}? [y/N] `, { signal: session.signal });
    if (!/^y(es)?$/i.test(answer.trim())) throw new Failure(EXIT.failed, 'nothing was changed');
  } finally {
    lines.close();
  }
}

const BAR = 24;
/** Between two pictures of it, in ms. */
const EVERY = 100;

/** A bar on stderr, where that is a terminal. */
export class Progress {
  readonly #total: number;
  readonly #what: string;
  readonly #isShown: boolean;
  #shown = 0;

  constructor(session: Session, what: string, total: number) {
    this.#what = what;
    this.#total = total;
    this.#isShown = process.stderr.isTTY === true && !session.terminal.quiet;
  }

  at(done: number): void {
    const now = Date.now();
    if (!this.#isShown || (now - this.#shown < EVERY && done < this.#total)) return;
    this.#shown = now;
    const part = this.#total === 0 ? 1 : Math.min(1, done / this.#total);
    const full = Math.round(part * BAR);
    const bar = `${'█'.repeat(full)}${'░'.repeat(BAR - full)}`;
    process.stderr.write(`\r\x1b[K${this.#what} ${bar} ${done} of ${this.#total}`);
  }

  end(): void {
    if (this.#isShown && this.#shown > 0) process.stderr.write('\r\x1b[K');
  }
}
