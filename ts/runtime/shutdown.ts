/** Closes clients in good order when a signal tells the process to end. */

import type { ShutdownSignal } from '../../index';
import { invalidAt } from '../errors';

const CODE = 'ERR_BUS_INVALID_CONFIG';

/** The signals that ask a process to end and leave it the time to do so. */
const SIGNALS: readonly ShutdownSignal[] = [
  'SIGTERM',
  'SIGINT',
  'SIGHUP',
  'SIGQUIT',
  'SIGBREAK',
  'SIGUSR2',
];

const DEFAULT: readonly ShutdownSignal[] = ['SIGTERM', 'SIGINT'];

/** Reads `shutdownSignals`; none for `undefined`. Throws `INVALID_CONFIG`. */
export function readShutdownSignals(value: unknown): readonly ShutdownSignal[] {
  if (value === undefined || value === false) return [];
  if (value === true) return DEFAULT;
  if (!Array.isArray(value)) {
    throw invalidAt(CODE, 'shutdownSignals', 'must be a boolean or an array of signals');
  }
  const signals = [...value];
  signals.forEach((signal, index) => {
    if (SIGNALS.includes(signal)) return;
    throw invalidAt(CODE, `shutdownSignals[${index}]`, `must be one of ${SIGNALS.join(', ')}`);
  });
  return signals;
}

/** Ends one member. A rejection is ignored: the member reports its own errors. */
type End = (signal: ShutdownSignal) => Promise<unknown>;

/** The members of this process, and the process's listeners for their signals. */
class Shutdown {
  readonly #members = new Map<End, readonly ShutdownSignal[]>();
  readonly #listeners = new Map<ShutdownSignal, () => void>();
  #ending = false;

  /** Returns a function that takes the member out again. */
  join(signals: readonly ShutdownSignal[], end: End): () => void {
    this.#members.set(end, signals);
    for (const signal of signals) this.#listen(signal);
    return () => {
      this.#members.delete(end);
      this.#forget();
    };
  }

  #listen(signal: ShutdownSignal): void {
    if (this.#listeners.has(signal)) return;
    const listener = () => void this.#end(signal);
    this.#listeners.set(signal, listener);
    // Prepended: a listener of the user that is called only once would be gone before it is counted.
    process.prependListener(signal, listener);
  }

  /** Removes the listeners that no member needs any more. */
  #forget(): void {
    // Without its listener the same signal, sent again, would end the process while members still drain.
    if (this.#ending) return;
    const needed = new Set([...this.#members.values()].flat());
    for (const [signal, listener] of this.#listeners) {
      if (needed.has(signal)) continue;
      process.removeListener(signal, listener);
      this.#listeners.delete(signal);
    }
  }

  /** A process manager and a terminal often send the same signal twice; only the first one counts. */
  async #end(signal: ShutdownSignal): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    // If other code listens too, that code decides when the process ends.
    const alone = process.listenerCount(signal) === 1;
    const ending = [...this.#members].filter(([, signals]) => alone || signals.includes(signal));
    await Promise.allSettled(ending.map(async ([end]) => end(signal)));
    if (alone) process.exit();
    this.#ending = false;
    this.#forget();
  }
}

const REGISTRY = Symbol.for('oxbus.shutdown');

/**
 * The members are kept on `process`, so that copies of this package share them: else each copy would
 * take the listeners of the others for code of the user.
 */
function shutdown(): Shutdown {
  const holder = process as { [REGISTRY]?: Shutdown };
  holder[REGISTRY] ??= new Shutdown();
  return holder[REGISTRY];
}

/** Ends a member at the first of these signals. Returns a function that takes it out again. */
export function endAtSignals(signals: readonly ShutdownSignal[], end: End): () => void {
  return signals.length === 0 ? () => {} : shutdown().join(signals, end);
}

const dropped = new FinalizationRegistry<() => void>((leave) => leave());

/** The same for a member that may be garbage-collected before; `end` must not refer to it. */
export function endWeaklyAtSignals<T extends object>(
  signals: readonly ShutdownSignal[],
  member: T,
  end: (member: T, signal: ShutdownSignal) => Promise<unknown>,
): () => void {
  const weak = new WeakRef(member);
  const leave = endAtSignals(signals, async (signal) => {
    const alive = weak.deref();
    if (alive !== undefined) await end(alive, signal);
  });
  dropped.register(member, leave);
  return leave;
}
