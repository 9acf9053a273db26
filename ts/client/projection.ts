/** Objects that declare what they handle. */

import { invalidAt } from '../errors';
import { reading } from '../input/options';

/** The types that a projection declares, and its handler. Throws `INVALID_OPTIONS` for what is none. */
export function readProjection(projection: {
  subscribedTo(): readonly string[];
  handle(event: never, ctx: never): unknown;
}): { types: unknown; handler: (event: never, ctx: never) => unknown } {
  const types = reading('projection', () => {
    const { subscribedTo, handle } = projection ?? {};
    if (typeof subscribedTo !== 'function' || typeof handle !== 'function') return undefined;
    return { given: subscribedTo.call(projection) as unknown };
  });
  if (types === undefined) {
    const message = 'must have subscribedTo() and handle()';
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'projection', message);
  }
  return { types: types.given, handler: (event, ctx) => projection.handle(event, ctx) };
}
