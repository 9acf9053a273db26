import { BEFORE, requireBefore } from '../../benchmark/support/before.mjs';

/** Whether another build of Oxbus takes part: the checkout that OXBUS_BEFORE names. */
export const withBefore = BEFORE !== undefined;

/** The package as `build` has it: `'before'` is the build that OXBUS_BEFORE names, else it is this one. */
export const load = (build) => (build === 'before' ? requireBefore() : import('../../index.js'));
