import { EventBusClient } from '../../index.js';
import { instrument } from '../../otel.js';
import { startTelemetry } from '../support/telemetry.mjs';
import { busOf } from './oxbus-build.mjs';

const providers = startTelemetry();

function Traced(config) {
  const bus = new EventBusClient(config);
  instrument(bus, providers);
  return bus;
}

/** Oxbus with spans and metrics by the real SDK of OpenTelemetry, which exports nothing. */
export const createBus = busOf(Traced);
