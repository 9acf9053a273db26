/** What a client that closes waits for, and what it gives up in the end: a line in the log for each. */

import { clearTimeout, setTimeout } from '../runtime/clock';
import type { AtSignal } from '../runtime/shutdown';
import type { Log, LogFields } from './logger';

/** A close that takes longer than this, in ms, says once what it waits for. */
const PATIENCE = 1000;
/** So many event types are named; the others are counted together, under `…`. */
const MAX_TYPES = 10;

/** What the engine had not finished at the timeout of `disconnect`. */
export interface Unfinished {
  /** Publishes without an outcome. */
  publishes: number;
  /** Whether the store knows of all that was handled for groups. */
  settled: boolean;
}

/** Who knows what is not finished yet. */
export interface ClosingSources {
  /** The types of the events whose handlers run. */
  handledTypes(): Iterable<string>;
  /** How many publishes have no outcome. */
  publishes(): number;
}

/** By the promise of `disconnect`, which is all that others have of a close. */
const closings = new WeakMap<Promise<void>, Closing>();

/** Waits for a close, and tells whether it has given something up. */
export async function endsIncomplete(close: Promise<void>): Promise<boolean> {
  await close;
  return closings.get(close)?.gaveUp ?? false;
}

/** The process ends before this close does: the log has what is given up. */
export function abandon(close: Promise<void>): void {
  closings.get(close)?.abandon();
}

/** A client, as its part in the shutdown of the process. */
interface Closable {
  readonly log: Log;
  /** The same promise each time. */
  disconnect(timeout: null): Promise<void>;
}

export const closingAtSignal: AtSignal<Closable> = {
  end(client, signal) {
    client.log.write('info', `closing at ${signal}`);
    return endsIncomplete(client.disconnect(null));
  },
  abandon: (client) => abandon(client.disconnect(null)),
};

export class Closing {
  readonly #log: Log;
  readonly #sources: ClosingSources;
  readonly #timer: NodeJS.Timeout;
  gaveUp = false;

  /** From here on the client closes. */
  constructor(log: Log, sources: ClosingSources) {
    this.#log = log;
    this.#sources = sources;
    this.#timer = setTimeout(() => {
      const fields = this.#fields(sources.publishes());
      if (fields !== undefined) log.write('info', `closing: waiting for ${textOf(fields)}`, fields);
    }, PATIENCE);
    this.#timer.unref();
  }

  /** `close` is the promise of this close. Returns it. */
  follow(close: Promise<void>): Promise<void> {
    closings.set(close, this);
    return close;
  }

  /** The engine has closed; the handlers that still run are about to be aborted. */
  ended(unfinished: Unfinished | null): void {
    clearTimeout(this.#timer);
    // What the engine has given up is refused by now; what is left waits in JavaScript for another attempt.
    const publishes = (unfinished?.publishes ?? 0) + this.#sources.publishes();
    const fields = this.#fields(publishes, unfinished !== null) ?? {};
    // Where handlers run, that is what is not settled.
    if (unfinished?.settled === false && fields.handlers === undefined) fields.unsettled = true;
    this.#giveUp('the client was closed before all was done', fields);
  }

  /** The process ends without waiting any longer. */
  abandon(): void {
    clearTimeout(this.#timer);
    this.#giveUp('the process ends before all was done', this.#fields(this.#sources.publishes()));
  }

  #giveUp(message: string, fields: LogFields | undefined): void {
    if (fields === undefined || Object.keys(fields).length === 0) return;
    this.gaveUp = true;
    this.#log.write('warn', `${message}: gave up ${textOf(fields)}`, fields);
  }

  /** What is not finished, as the fields of a line; undefined if that is nothing. */
  #fields(publishes: number, running = true): LogFields | undefined {
    const handlers = running ? countsOf(this.#sources.handledTypes()) : undefined;
    if (handlers === undefined && publishes === 0) return undefined;
    return { ...(handlers && { handlers }), ...(publishes > 0 && { publishes }) };
  }
}

/** How often each type is among these; undefined for none. */
function countsOf(types: Iterable<string>): Record<string, number> | undefined {
  const counts = new Map<string, number>();
  for (const type of types) {
    const key = counts.has(type) || counts.size < MAX_TYPES ? type : '…';
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts.size === 0 ? undefined : Object.fromEntries(counts);
}

function textOf({ handlers = {}, publishes, unsettled }: LogFields): string {
  const types = Object.entries(handlers as Record<string, number>);
  const parts = types.map(([type, count]) =>
    counted(count, 'handler', `of ${JSON.stringify(type)}`),
  );
  if (publishes !== undefined) parts.push(counted(publishes as number, 'publish', '', 'es'));
  if (unsettled === true) parts.push('telling the server what was handled');
  return parts.join(', ');
}

function counted(count: number, noun: string, more: string, plural = 's'): string {
  return `${count} ${noun}${count === 1 ? '' : plural} ${more}`.trimEnd();
}
