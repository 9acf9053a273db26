import { EventBusClient } from '../../../index.js';
import { clientsOf } from './oxbus-build.mjs';

/** Oxbus with live events on lanes, each of which is on one master. */
export const { createBus } = clientsOf(EventBusClient, ({ nodes }) => ({
  cluster: { nodes, pubsub: 'sharded', lanes: 16 },
}));
