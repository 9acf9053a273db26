import { requireBefore } from '../support/before.mjs';
import { startTelemetry } from '../support/telemetry.mjs';
import { busOf } from './oxbus-build.mjs';

const providers = startTelemetry();
const { EventBusClient } = requireBefore();
const { instrument } = requireBefore('otel.js');

function Traced(config) {
  const bus = new EventBusClient(config);
  instrument(bus, providers);
  return bus;
}

/** Another build of Oxbus with spans and metrics, as `oxbus-otel` has them. */
export const createBus = busOf(Traced);
