import { createBus as create } from '../oxbus.mjs';

/** Oxbus in hybrid mode. */
export const createBus = (url) => create(url, { mode: 'hybrid' });
