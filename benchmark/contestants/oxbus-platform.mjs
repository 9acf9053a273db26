import { wires } from '../support/wires.mjs';
import { createBus as createOxbus } from './oxbus.mjs';

/** Oxbus with the wire of platform. */
export const createBus = (url) => createOxbus(url, { wire: wires['oxbus-platform'] });
