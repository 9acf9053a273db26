import { wires } from '../support/wires.mjs';
import { createBus as createOxbus } from './oxbus.mjs';

/** Oxbus with a format that a user describes. */
export const createBus = (url) => createOxbus(url, { wire: wires['oxbus-mapping'] });
