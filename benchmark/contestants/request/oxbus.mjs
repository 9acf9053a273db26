import { EventBusClient } from '../../../index.js';
import { requestsOf } from './oxbus-build.mjs';

/** Oxbus with its defaults. */
export const { createResponder, createRequester } = requestsOf(EventBusClient);
