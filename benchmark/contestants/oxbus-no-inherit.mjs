import { createBus as createOxbus } from './oxbus.mjs';

/** Oxbus without inheriting the correlation id in handlers, which no peer offers. */
export const createBus = (url) => createOxbus(url, { inherit: false });
