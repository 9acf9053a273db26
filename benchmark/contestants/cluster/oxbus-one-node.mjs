import { EventBusClient } from '../../../index.js';
import { clientsOf } from './oxbus-build.mjs';

/** The same build on one server, which is in no Cluster: what the Cluster costs its clients. */
export const { createBus, createStore, createConsumer } = clientsOf(
  EventBusClient,
  ({ url }) => url,
);
