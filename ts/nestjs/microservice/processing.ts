/** The hooks that instrumentation sets around the processing of a message or an event. */

import { isThenable } from '../../runtime/promises';
import type { OxbusContext } from './context';
import type { Microservices } from './packages';

type Server = InstanceType<typeof Microservices.Server>;
type TransportId = NonNullable<Server['transportId']>;

/** What a server has been told, as it is now. */
export interface Hooks {
  readonly transportId: TransportId;
  /** The handler is called when it calls `done`. */
  readonly start: (id: TransportId, context: OxbusContext, done: () => Promise<unknown>) => unknown;
  readonly end: ((id: TransportId, context: OxbusContext) => unknown) | undefined;
}

/**
 * Calls a handler between the hooks, and settles as it does. The end is told once: when what it has returned, a stream included,
 * is over. A hook for the start that fails is a failure of the handler; what is wrong with one for the end is logged.
 */
export function withHooks(
  { transportId, start, end }: Hooks,
  log: { error(message: unknown): void },
  context: OxbusContext,
  call: () => unknown,
): Promise<unknown> {
  const ended = () => {
    try {
      end?.(transportId, context);
    } catch (error) {
      log.error(error);
    }
  };
  return new Promise((resolve, reject) => {
    const done = async () => {
      try {
        const result = await call();
        ended();
        resolve(result);
      } catch (error) {
        ended();
        reject(error);
      }
    };
    const started = start(transportId, context, done);
    // A hook may return the promise of `done`, or nothing.
    if (isThenable(started)) Promise.resolve(started).catch(reject);
  });
}
