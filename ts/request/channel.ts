/** What requests and their responders need of the client. */

import type { BusEvent } from '../../index';
import type { DataText } from '../client/publishing';
import type { LiveSubscription } from '../handle/subscription';
import type { PublishWatcher } from '../publish/batch';
import type { OwnOptions } from '../publish/publish-options';

export interface ListenOptions {
  concurrency: number;
  /** 0: none. */
  timeout: number;
  queue?: { maxEvents: number };
}

export interface RequestChannel {
  readonly instanceId: string;
  /** Whether `receivers` of a publish counts all there are. On a Cluster it is the number of one node. */
  readonly countsReceivers: boolean;
  /** Publishes to a user, also while the client closes; `watcher` is told of the outcome. Throws `CLOSED` once it has. */
  post(type: string, data: DataText, options: OwnOptions, watcher: PublishWatcher): void;
  /** Subscribes to the channel of a user. It does not keep the process alive. */
  listen(
    user: string,
    handler: (event: BusEvent) => unknown,
    options: ListenOptions,
  ): Promise<LiveSubscription>;
}
