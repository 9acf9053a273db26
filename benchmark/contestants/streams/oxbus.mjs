import { EventBusClient } from '../../../index.js';
import { storesOf } from './oxbus-build.mjs';

/** Oxbus with its defaults. */
export const { createStore, createConsumer } = storesOf(EventBusClient);
