import { EventBusClient } from '../../../index.js';
import { clientsOf, inCluster } from './oxbus-build.mjs';

/** Oxbus with its defaults on the Cluster. */
export const { createBus, createStore, createConsumer } = clientsOf(EventBusClient, inCluster);
