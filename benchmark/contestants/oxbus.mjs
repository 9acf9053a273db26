import { EventBusClient } from '../../index.js';
import { busOf } from './oxbus-build.mjs';

/** Oxbus with its defaults. */
export const createBus = busOf(EventBusClient);
