/** `bus.streams`: streams and their groups, as the server has them. */

import type {
  Streams as Contract,
  ListOptions,
  PendingMessage,
  RecoverOptions,
  RecoverResult,
  StreamInfo,
  StreamPosition,
  TrimOptions,
} from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { readMoment, readOptions, readPosition, refuseUndefined } from '../input/options';
import type { Ask } from '../native/methods';

export class Streams implements Contract {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  info(name: string): Promise<StreamInfo> {
    return this.#ask('streams.info', { name });
  }

  exists(name: string): Promise<boolean> {
    return this.#ask('streams.exists', { name });
  }

  list(options?: ListOptions): Promise<StreamInfo[]> {
    return this.#ask('streams.list', readOptions(options, ['scan', 'limit']));
  }

  pending(name: string, group: string, options?: { limit?: number }): Promise<PendingMessage[]> {
    const read = readOptions(options, ['limit']);
    return this.#ask('streams.pending', { ...read, name, group });
  }

  recover(options?: RecoverOptions): Promise<RecoverResult> {
    const read = readOptions(options, ['stream', 'group', 'minIdle', 'maxRetries', 'batchSize']);
    refuseUndefined(read, 'stream', 'for all streams');
    refuseUndefined(read, 'group', 'for all groups');
    return this.#ask('streams.recover', read);
  }

  trim(name: string, options: TrimOptions): Promise<number> {
    const read = readOptions(options, ['maxLength', 'minId', 'before']);
    read.before = readMoment(read.before, 'before');
    return this.#ask('streams.trim', { ...read, name });
  }

  setPosition(name: string, group: string, position: StreamPosition): Promise<void> {
    const id = readPosition(position, 'id');
    return this.#ask('streams.setPosition', { name, group, id }).then(() => undefined);
  }

  removeGroup(name: string, group: string): Promise<boolean> {
    return this.#ask('streams.removeGroup', { name, group });
  }
}

startAsyncStacksAtCaller(Streams, [
  'info',
  'exists',
  'list',
  'pending',
  'recover',
  'trim',
  'setPosition',
  'removeGroup',
]);
