/** Closes clients in good order when a signal tells the process to end. */

import { constants } from 'node:os';
import type { ShutdownSignal } from '../../index';
import { invalidAt } from '../errors';
import { monotonic } from './clock';

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

/** The signals by which a person at a terminal asks to end. A supervisor may repeat the others without being impatient. */
const FROM_KEYBOARD: readonly ShutdownSignal[] = ['SIGINT', 'SIGQUIT', 'SIGBREAK'];

/** Terminals and npm may deliver one Ctrl-C twice: another one counts only so many ms after the first signal. */
const REPEATED = 1000;

/** What happens to a member at a signal. */
export interface AtSignal<T> {
  /** Ends the member; resolves to whether it had to give something up. It reports its own errors. */
  end(member: T, signal: ShutdownSignal): Promise<boolean>;
  /** The process ends at once, before `end` has. */
  abandon(member: T): void;
}

/** One that ends at a signal. */
interface Member {
  readonly signals: readonly ShutdownSignal[];
  end(signal: ShutdownSignal): Promise<boolean>;
  abandon(): void;
}

/** The members of this process, and the process's listeners for their signals. */
class Shutdown {
  readonly #members = new Set<Member>();
  readonly #listeners = new Map<ShutdownSignal, () => void>();
  /** The first signal: when it came, and who ends. */
  #ending: { since: number; alone: boolean; members: Member[] } | undefined;

  /** Returns a function that takes the member out again. */
  join(member: Member): () => void {
    this.#members.add(member);
    for (const signal of member.signals) this.#listen(signal);
    return () => {
      this.#members.delete(member);
      this.#forget();
    };
  }

  #listen(signal: ShutdownSignal): void {
    if (this.#listeners.has(signal)) return;
    const listener = () => {
      if (this.#ending === undefined) void this.#end(signal);
      else this.#repeated(signal);
    };
    this.#listeners.set(signal, listener);
    // Prepended: a listener of the user that is called only once would be gone before it is counted.
    process.prependListener(signal, listener);
  }

  /** Removes the listeners that no member needs any more. */
  #forget(): void {
    // Without its listener the same signal, sent again, would end the process while members still drain.
    if (this.#ending !== undefined) return;
    const needed = new Set([...this.#members].flatMap(({ signals }) => signals));
    for (const [signal, listener] of this.#listeners) {
      if (needed.has(signal)) continue;
      process.removeListener(signal, listener);
      this.#listeners.delete(signal);
    }
  }

  async #end(signal: ShutdownSignal): Promise<void> {
    // If other code listens too, that code decides when the process ends.
    const alone = process.listenerCount(signal) === 1;
    const members = [...this.#members].filter(({ signals }) => alone || signals.includes(signal));
    this.#ending = { since: monotonic(), alone, members };
    const ends = await Promise.allSettled(members.map(async (member) => member.end(signal)));
    if (alone) {
      const incomplete = ends.some((end) => end.status === 'fulfilled' && end.value);
      if (incomplete && !process.exitCode) process.exitCode = 1;
      process.exit();
    }
    this.#ending = undefined;
    this.#forget();
  }

  /** Another signal while the members end: the process ends at once where a person insists. */
  #repeated(signal: ShutdownSignal): void {
    const ending = this.#ending;
    if (ending === undefined || !ending.alone || !FROM_KEYBOARD.includes(signal)) return;
    if (process.listenerCount(signal) > 1 || monotonic() - ending.since < REPEATED) return;
    for (const member of ending.members) member.abandon();
    // As a shell reports a process that a signal has ended.
    process.exit(128 + (constants.signals[signal] ?? 0));
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
export function endAtSignals<T>(
  signals: readonly ShutdownSignal[],
  member: T,
  { end, abandon }: AtSignal<T>,
): () => void {
  if (signals.length === 0) return () => {};
  return shutdown().join({
    signals,
    end: (signal) => end(member, signal),
    abandon: () => abandon(member),
  });
}

const dropped = new FinalizationRegistry<() => void>((leave) => leave());

/** The same for a member that may be garbage-collected before; `at` must not refer to it. */
export function endWeaklyAtSignals<T extends object>(
  signals: readonly ShutdownSignal[],
  member: T,
  { end, abandon }: AtSignal<T>,
): () => void {
  const leave = endAtSignals(signals, new WeakRef(member), {
    async end(weak, signal) {
      const alive = weak.deref();
      return alive !== undefined && end(alive, signal);
    },
    abandon(weak) {
      const alive = weak.deref();
      if (alive !== undefined) abandon(alive);
    },
  });
  dropped.register(member, leave);
  return leave;
}
