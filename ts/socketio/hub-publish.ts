/** How a hub publishes for its clients. */

import type { EventBusClient, PublishOptions, PublishResult } from '../../index';
import { internalsOf } from '../client/internals';
import { copyOptions } from '../input/options';
import type { Recipients } from '../native/native';

export type Recipient = { readonly room: string } | { readonly user: string } | 'all' | undefined;

export type HubPublish = (
  type: string,
  data: unknown,
  options: PublishOptions | undefined,
  to: Recipient,
) => Promise<PublishResult>;

/**
 * In hybrid mode the clients of this hub get an event before Redis does: what a hub does with one is short, and to wake the
 * thread that writes to Redis takes longer than all of it. The bus has accepted the event by then.
 */
export function publishesOf(bus: EventBusClient): HubPublish {
  const internals = internalsOf(bus);
  if (internals === undefined) throw new TypeError('this is no client of oxbus');
  const { publishHereFirst } = internals;
  return (type, data, options, to) => {
    if (to === undefined) return publishHereFirst(type, data, options);
    if (to === 'all') return publishHereFirst(type, data, options, 'broadcast');
    if ('user' in to) return publishHereFirst(type, data, options, { user: to.user });
    const { except, ...given } = copyOptions(options) as { except?: unknown } & PublishOptions;
    const room = { room: to.room, ...(except !== undefined && { except }) };
    return publishHereFirst(type, data, given, room as Recipients);
  };
}
