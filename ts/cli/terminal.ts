/** How results look: results on stdout, everything else on stderr; colours and widths only where somebody looks. */

import { writeSync } from 'node:fs';

type Colour = 'red' | 'green' | 'yellow' | 'cyan' | 'dim' | 'bold';

const CODES: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** Whether a stream may have colours: a terminal, unless `NO_COLOR` or `TERM=dumb` says no; `FORCE_COLOR` says yes. */
function isColoured(stream: NodeJS.WriteStream): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = process.env;
  if (NO_COLOR !== undefined && NO_COLOR !== '') return false;
  if (FORCE_COLOR !== undefined && FORCE_COLOR !== '' && FORCE_COLOR !== '0') return true;
  return stream.isTTY === true && TERM !== 'dumb';
}

export interface TerminalOptions {
  /** Results as JSON lines. */
  readonly json: boolean;
  /** Nothing on stderr but what the command fails with. */
  readonly quiet: boolean;
}

/** So many characters are gathered before they are written. */
const CHUNK = 1 << 16;

export class Terminal {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly isInteractive = process.stdout.isTTY === true;
  readonly #outColour = isColoured(process.stdout);
  readonly #errColour = isColoured(process.stderr);
  #gathered = '';

  constructor({ json, quiet }: TerminalOptions) {
    this.json = json;
    this.quiet = quiet;
  }

  /** Columns of a line; without a terminal there is no bound. */
  get width(): number {
    return this.isInteractive ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY;
  }

  /** A line of the result. It is written at once on a terminal, else with others; `flush` writes what is left. */
  line(text: string): void {
    this.#gathered += `${text}\n`;
    if (this.isInteractive || this.#gathered.length >= CHUNK) this.flush();
  }

  /** Several lines of the result, each with its end. */
  lines(text: string): void {
    this.#gathered += text;
    if (this.isInteractive || this.#gathered.length >= CHUNK) this.flush();
  }

  flush(): void {
    const text = this.#gathered;
    this.#gathered = '';
    if (text !== '') writeAll(text);
  }

  /** A row as JSON. */
  row(value: object): void {
    this.line(JSON.stringify(value));
  }

  /** What is said beside the result, on stderr. */
  note(text: string): void {
    if (this.quiet) return;
    this.flush();
    process.stderr.write(`${text}\n`);
  }

  /** What a command fails with. */
  fail(text: string): void {
    this.flush();
    process.stderr.write(`${this.#painted(this.#errColour, 'oxbus:', 'red')} ${text}\n`);
  }

  paint(text: string, colour: Colour): string {
    return this.#painted(this.#outColour, text, colour);
  }

  #painted(isOn: boolean, text: string, colour: Colour): string {
    if (!isOn || text === '') return text;
    const [on, off] = CODES[colour];
    return `\x1b[${on}m${text}\x1b[${off}m`;
  }
}

/** Who reads this has left, as `head` does: that ends a command, and is no failure. */
export class Closed extends Error {}

/** Writes to stdout without a queue of its own: a slow reader slows the command down, and nothing is kept for it. */
function writeAll(text: string): void {
  const bytes = Buffer.from(text);
  for (let from = 0; from < bytes.length; ) {
    try {
      from += writeSync(1, bytes, from);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') throw new Closed();
      // A terminal or a pipe that does not block has no room at the moment.
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
