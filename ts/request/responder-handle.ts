/** What `respond` resolves to. */

import type { Responder } from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import type { LiveSubscription } from '../handle/subscription';
import { readOptions } from '../input/options';

export class ResponderHandle implements Responder {
  readonly id: string;
  readonly type: string;
  readonly #live: LiveSubscription;
  readonly #leave: () => Promise<boolean>;

  constructor(id: string, type: string, live: LiveSubscription, leave: () => Promise<boolean>) {
    this.id = id;
    this.type = type;
    this.#live = live;
    this.#leave = leave;
  }

  unsubscribe(options?: { wait?: boolean | undefined }): Promise<boolean> {
    return this.#end(options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.unsubscribe();
  }

  async #end(options: unknown): Promise<boolean> {
    const { wait } = readOptions(options, ['wait']);
    const left = await this.#leave();
    if (wait === true) await this.#live.idle();
    return left;
  }
}

startAsyncStacksAtCaller(ResponderHandle, ['unsubscribe']);
