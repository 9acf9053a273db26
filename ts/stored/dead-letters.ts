/** `bus.deadLetters`: stored events that could not be handled. */

import type {
  BusEvent,
  DeadLetters as Contract,
  DeadLetter,
  DeadLetterQuery,
  ReplayAllQuery,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { readOptions, refuseUndefined } from '../input/options';
import type { Ask, RawLetter } from '../native/methods';

export class DeadLetters<E = BusEvent> implements Contract<E> {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  list(query?: DeadLetterQuery): Promise<DeadLetter<E>[]> {
    const read = readOptions(query, ['stream', 'limit', 'after']);
    const letters = this.#ask('deadLetters.list', read);
    return letters.then((all) => all.map((one) => letterOf<E>(one)));
  }

  get(id: string): Promise<DeadLetter<E> | null> {
    const letter = this.#ask('deadLetters.get', { id });
    return letter.then((one) => (one === null ? null : letterOf<E>(one)));
  }

  replay(id: string, options?: { to?: 'group' | 'stream' }): Promise<{ messageId: string } | null> {
    const read = readOptions(options, ['to']);
    return this.#ask('deadLetters.replay', { ...read, id });
  }

  replayAll(query?: ReplayAllQuery): Promise<number> {
    const read = readOptions(query, ['stream', 'group', 'limit', 'to']);
    refuseUndefined(read, 'stream', 'for all streams');
    refuseUndefined(read, 'group', 'for all groups');
    return this.#ask('deadLetters.replayAll', read);
  }

  remove(id: string): Promise<boolean> {
    return this.#ask('deadLetters.remove', { id });
  }

  purge(stream: string): Promise<number> {
    return this.#ask('deadLetters.purge', { stream });
  }

  count(stream?: string): Promise<number> {
    return this.#ask('deadLetters.count', { stream });
  }
}

startAsyncStacksAtCaller(DeadLetters, [
  'list',
  'get',
  'replay',
  'replayAll',
  'remove',
  'purge',
  'count',
]);

function letterOf<E>(letter: RawLetter): DeadLetter<E> {
  const event = letter.event === null ? null : (JSON.parse(letter.event) as E);
  return { ...letter, event };
}
