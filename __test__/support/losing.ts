/** Faults that break connections of a client, and the moment from which on the client knows of it. */

import type { EventBusClient, LinkName } from '../..';
import { eventually } from './eventually';

/**
 * Carries a fault out that breaks the connections of these links, and resolves when the client knows that they are
 * broken: what it is asked for from then on waits for the next connections.
 *
 * What is published earlier may be written to a connection that has gone, and is `unknown` then. The state does not say
 * when that is over: it tells that some link is down and not which, it is `ready` until the first is noticed, and
 * `ready` again after a reconnect that was quick.
 */
export async function losing<T>(
  bus: Pick<EventBusClient, 'on' | 'off' | 'waitUntilReady'>,
  links: readonly LinkName[],
  fault: () => Promise<T>,
): Promise<T> {
  // A connection that is just being made would not be lost, and not be told.
  await bus.waitUntilReady({ timeout: 20_000 });
  const lost = new Set<LinkName>();
  const hear = ({ link }: { link: LinkName }) => void lost.add(link);
  bus.on('disconnected', hear);
  try {
    const result = await fault();
    await eventually(() => links.every((link) => lost.has(link)));
    return result;
  } finally {
    bus.off('disconnected', hear);
  }
}
