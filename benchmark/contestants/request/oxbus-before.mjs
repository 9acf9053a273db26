import { requireBefore } from '../../support/before.mjs';
import { requestsOf } from './oxbus-build.mjs';

/** Another build of Oxbus, with its defaults. */
export const { createResponder, createRequester } = requestsOf(requireBefore().EventBusClient);
