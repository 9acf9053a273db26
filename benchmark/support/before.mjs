import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

/** The checkout of another build of Oxbus, which `npm run build` has built there: what a change is compared with. */
const checkout = process.env.OXBUS_BEFORE;

/** That build takes part under this name wherever Oxbus does. */
export const BEFORE = checkout ? 'oxbus-before' : undefined;

/** Its entry, or another one. */
export function requireBefore(entry = 'index.js') {
  if (!checkout) throw new Error('OXBUS_BEFORE names no checkout of another build');
  return createRequire(import.meta.url)(join(resolve(checkout), entry));
}
