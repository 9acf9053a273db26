/** `bus.deadLetters`: stored events that could not be handled. */

import type {
  BusEvent,
  DeadLetters as Contract,
  DeadLetter,
  DeadLetterQuery,
  ReplayAllQuery,
} from '../../index';
import { traced } from '../errors';
import { readOptions } from '../input/options';
import type { Ask } from './streams';

/** A dead letter as the engine gives it: its event is JSON text. */
type RawLetter = Omit<DeadLetter, 'event'> & { event: string | null };

export class DeadLetters implements Contract {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async list(query?: DeadLetterQuery): Promise<DeadLetter[]> {
    try {
      const read = readOptions(query, ['stream', 'limit', 'after']);
      return (await this.#ask<RawLetter[]>('deadLetters.list', read)).map(letterOf);
    } catch (error) {
      throw traced(error, DeadLetters.prototype.list);
    }
  }

  async get(id: string): Promise<DeadLetter | null> {
    try {
      const letter = await this.#ask<RawLetter | null>('deadLetters.get', { id });
      return letter === null ? null : letterOf(letter);
    } catch (error) {
      throw traced(error, DeadLetters.prototype.get);
    }
  }

  async replay(
    id: string,
    options?: { to?: 'group' | 'stream' },
  ): Promise<{ messageId: string } | null> {
    try {
      const read = readOptions(options, ['to']);
      return await this.#ask<{ messageId: string } | null>('deadLetters.replay', { ...read, id });
    } catch (error) {
      throw traced(error, DeadLetters.prototype.replay);
    }
  }

  async replayAll(query?: ReplayAllQuery): Promise<number> {
    try {
      const read = readOptions(query, ['stream', 'group', 'limit', 'to']);
      return await this.#ask<number>('deadLetters.replayAll', read);
    } catch (error) {
      throw traced(error, DeadLetters.prototype.replayAll);
    }
  }

  async remove(id: string): Promise<boolean> {
    try {
      return await this.#ask<boolean>('deadLetters.remove', { id });
    } catch (error) {
      throw traced(error, DeadLetters.prototype.remove);
    }
  }

  async purge(stream: string): Promise<number> {
    try {
      return await this.#ask<number>('deadLetters.purge', { stream });
    } catch (error) {
      throw traced(error, DeadLetters.prototype.purge);
    }
  }

  async count(stream?: string): Promise<number> {
    try {
      return await this.#ask<number>('deadLetters.count', { stream });
    } catch (error) {
      throw traced(error, DeadLetters.prototype.count);
    }
  }
}

function letterOf(letter: RawLetter): DeadLetter {
  const event = letter.event === null ? null : (JSON.parse(letter.event) as BusEvent);
  return { ...letter, event };
}
