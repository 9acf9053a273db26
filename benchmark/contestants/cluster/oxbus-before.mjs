import { requireBefore } from '../../support/before.mjs';
import { clientsOf, inCluster } from './oxbus-build.mjs';

/** Another build of Oxbus with its defaults on the Cluster. */
export const { createBus, createStore, createConsumer } = clientsOf(
  requireBefore().EventBusClient,
  inCluster,
);
