import { requireBefore } from '../support/before.mjs';
import { busOf } from './oxbus-build.mjs';

/** Another build of Oxbus with its defaults. */
export const createBus = busOf(requireBefore().EventBusClient);
