/** `bus.streams`: streams and their groups, as the server has them. */

import type {
  Streams as Contract,
  PendingMessage,
  RecoverOptions,
  RecoverResult,
  StreamInfo,
  StreamPosition,
  TrimOptions,
} from '../../index';
import { traced } from '../errors';
import { readMoment, readOptions, readPosition } from '../input/options';

/** Asks the engine for something about stored events. */
export type Ask = <T>(method: string, args: Record<string, unknown>) => Promise<T>;

export class Streams implements Contract {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async info(name: string): Promise<StreamInfo> {
    try {
      return await this.#ask<StreamInfo>('streams.info', { name });
    } catch (error) {
      throw traced(error, Streams.prototype.info);
    }
  }

  async list(): Promise<StreamInfo[]> {
    try {
      return await this.#ask<StreamInfo[]>('streams.list', {});
    } catch (error) {
      throw traced(error, Streams.prototype.list);
    }
  }

  async pending(
    name: string,
    group: string,
    options?: { limit?: number },
  ): Promise<PendingMessage[]> {
    try {
      const read = readOptions(options, ['limit']);
      return await this.#ask<PendingMessage[]>('streams.pending', { ...read, name, group });
    } catch (error) {
      throw traced(error, Streams.prototype.pending);
    }
  }

  async recover(options?: RecoverOptions): Promise<RecoverResult> {
    try {
      const read = readOptions(options, ['group', 'minIdle', 'maxRetries', 'batchSize']);
      return await this.#ask<RecoverResult>('streams.recover', read);
    } catch (error) {
      throw traced(error, Streams.prototype.recover);
    }
  }

  async trim(name: string, options: TrimOptions): Promise<number> {
    try {
      const read = readOptions(options, ['maxLength', 'minId', 'before']);
      read.before = readMoment(read.before, 'before');
      return await this.#ask<number>('streams.trim', { ...read, name });
    } catch (error) {
      throw traced(error, Streams.prototype.trim);
    }
  }

  async setPosition(name: string, group: string, position: StreamPosition): Promise<void> {
    try {
      const id = readPosition(position, 'id');
      await this.#ask<null>('streams.setPosition', { name, group, id });
    } catch (error) {
      throw traced(error, Streams.prototype.setPosition);
    }
  }

  async removeGroup(name: string, group: string): Promise<boolean> {
    try {
      return await this.#ask<boolean>('streams.removeGroup', { name, group });
    } catch (error) {
      throw traced(error, Streams.prototype.removeGroup);
    }
  }
}
