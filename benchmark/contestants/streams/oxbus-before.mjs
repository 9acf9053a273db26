import { requireBefore } from '../../support/before.mjs';
import { storesOf } from './oxbus-build.mjs';

/** Another build of Oxbus with its defaults. */
export const { createStore, createConsumer } = storesOf(requireBefore().EventBusClient);
