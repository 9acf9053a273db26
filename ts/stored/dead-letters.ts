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
import type { Ask, AskForEvents, RawLetter } from '../native/methods';
import type { RawEvent } from '../native/native';

/** What dead letters need of their client. */
interface Owner {
  ask: Ask;
  askForEvents: AskForEvents;
}

export class DeadLetters<E = BusEvent> implements Contract<E> {
  readonly #owner: Owner;

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  list(query?: DeadLetterQuery): Promise<DeadLetter<E>[]> {
    const read = readOptions(query, ['stream', 'limit', 'after']);
    const answer = this.#owner.askForEvents('deadLetters.list', read);
    return answer.then(({ value, events }) => value.map((one) => letterOf<E>(one, events)));
  }

  get(id: string): Promise<DeadLetter<E> | null> {
    const answer = this.#owner.askForEvents('deadLetters.get', { id });
    return answer.then(({ value, events }) => value && letterOf<E>(value, events));
  }

  replay(id: string, options?: { to?: 'group' | 'stream' }): Promise<{ messageId: string } | null> {
    const read = readOptions(options, ['to']);
    return this.#owner.ask('deadLetters.replay', { ...read, id });
  }

  replayAll(query?: ReplayAllQuery): Promise<number> {
    const read = readOptions(query, ['stream', 'group', 'reason', 'limit', 'to']);
    refuseUndefined(read, 'stream', 'for all streams');
    refuseUndefined(read, 'group', 'for all groups');
    refuseUndefined(read, 'reason', 'for all reasons');
    return this.#owner.ask('deadLetters.replayAll', read);
  }

  remove(id: string): Promise<boolean> {
    return this.#owner.ask('deadLetters.remove', { id });
  }

  purge(stream: string): Promise<number> {
    return this.#owner.ask('deadLetters.purge', { stream });
  }

  count(stream?: string): Promise<number> {
    return this.#owner.ask('deadLetters.count', { stream });
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

function letterOf<E>(letter: RawLetter<number>, events: readonly RawEvent[]): DeadLetter<E> {
  const event = letter.event === null ? null : (events[letter.event] as E);
  return { ...letter, event };
}
