/** Typed `on`, `once`, `off`. No listener is required, and a listener that throws does no harm. */

import type { ClientEvents } from '../../index';
import { describe, invalidAt } from '../errors';
import { callHere } from '../handle/current-event';
import { fieldsOf, type Log } from './logger';

type Listener = (...args: never[]) => unknown;
type Entry = { listener: Listener; once: boolean };
type Name = keyof ClientEvents;

const NAMES: readonly Name[] = [
  'ready',
  'reconnecting',
  'disconnected',
  'closed',
  'error',
  'handlerError',
  'gap',
  'deadLetter',
  'messagesLost',
  'claimLost',
  'groupRecreated',
  'circuit',
  'warning',
];

export class Emitter {
  readonly #entries = new Map<Name, readonly Entry[]>();
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  add(name: Name, listener: Listener, once: boolean): void {
    check(name, listener);
    // Lists are replaced, never changed, so that a listener may add and remove while one is run.
    this.#entries.set(name, [...(this.#entries.get(name) ?? []), { listener, once }]);
  }

  remove(name: Name, listener: Listener): void {
    check(name, listener);
    const entries = this.#entries.get(name);
    const at = entries?.findLastIndex((entry) => entry.listener === listener) ?? -1;
    if (entries !== undefined && at >= 0) this.#entries.set(name, entries.toSpliced(at, 1));
  }

  #removeOnce(name: Name, called: Entry): void {
    const entries = this.#entries.get(name) ?? [];
    this.#entries.set(
      name,
      entries.filter((entry) => entry !== called),
    );
  }

  /**
   * Calls the listeners in order, each in a context of its own with the event that is being handled, if there is one;
   * false when there are none.
   */
  emit<K extends Name>(name: K, ...args: ClientEvents[K]): boolean {
    const entries = this.#entries.get(name);
    if (entries === undefined || entries.length === 0) return false;
    for (const entry of entries) {
      if (entry.once) this.#removeOnce(name, entry);
      try {
        const result = callHere(() => entry.listener(...(args as never[])));
        if (result instanceof Promise) result.catch((error) => this.#failed(name, error));
      } catch (error) {
        this.#failed(name, error);
      }
    }
    return true;
  }

  #failed(name: string, thrown: unknown): void {
    this.#log.write('error', `a listener of '${name}' failed`, fieldsOf(thrown));
  }
}

function check(name: unknown, listener: unknown): void {
  if (!NAMES.includes(name as Name)) {
    const shown = typeof name === 'string' ? `'${name}'` : describe(name);
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'name', `there is no event ${shown}`);
  }
  if (typeof listener !== 'function') {
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'listener', 'must be a function');
  }
}
