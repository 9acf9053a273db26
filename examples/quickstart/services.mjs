// The services of the quickstart. They know the bus and nothing of each other; whether they share
// a process is decided in main.mjs.

import { EventBusClient } from '../../index.js';
import { githubWebhooks } from './payloads.mjs';

/** The subscriber services: name and the event types each one wants. */
export const subscribers = [
  { name: 'triage', pattern: 'github.issues.*' },
  { name: 'builds', pattern: 'github.push' },
  { name: 'audit', pattern: '*' },
];

/** Events the audit service may be behind the publisher, so that no queue overflows. */
const WINDOW = 256;
const REPORT_EVERY = 32;
const LATENCY_SAMPLES = 500_000;

/** Milliseconds with a fraction; the same clock in every process of a machine. */
const now = () => performance.timeOrigin + performance.now();

/**
 * @typedef {object} BusOptions  configuration all services share
 * @property {'redis' | 'memory'} mode
 * @property {string} [redis]
 * @property {string} [channelPrefix]
 */

/**
 * Subscribes and counts. `onProgress` is called with the number of events handled so far.
 * @param {BusOptions} options
 * @param {{ name: string, pattern: string }} service
 * @param {(handled: number) => void} onProgress
 */
export async function startSubscriber(options, { name, pattern }, onProgress) {
  const bus = new EventBusClient({ serviceName: name, ...options });
  /** @type {number[]} */
  const latencies = [];
  let handled = 0;
  await bus.subscribe(pattern, (event) => {
    handled += 1;
    if (latencies.length < LATENCY_SAMPLES) latencies.push(now() - Number(event.metadata.sentAt));
    if (handled % REPORT_EVERY === 0) onProgress(handled);
  });
  const idle = setInterval(() => onProgress(handled), 5);
  return {
    async stop() {
      clearInterval(idle);
      const { eventsDropped, eventsFailed } = bus.getStats();
      await bus.disconnect();
      latencies.sort((a, b) => a - b);
      const at = (share) => latencies[Math.floor((latencies.length - 1) * share)] ?? 0;
      return { handled, dropped: eventsDropped, failed: eventsFailed, p50: at(0.5), p99: at(0.99) };
    },
  };
}

/**
 * Publishes all webhooks again and again for `duration` ms, never more than `WINDOW` events ahead of
 * the audit service. Whole rounds only, so what each service has to receive is known.
 * @param {BusOptions} options
 * @param {{ duration: number, audited: () => number, onProgress: (published: number) => void }} run
 */
export async function publish(options, { duration, audited, onProgress }) {
  const bus = new EventBusClient({ serviceName: 'webhooks', ...options });
  await bus.connect();
  const webhooks = githubWebhooks();
  const started = now();
  let published = 0;
  let rounds = 0;
  /** @type {Promise<unknown>[]} */
  let burst = [];
  while (now() - started < duration) {
    rounds += 1;
    for (const { type, data } of webhooks) {
      burst.push(bus.publish(type, data, { metadata: { sentAt: now() } }));
      if (burst.length < REPORT_EVERY) continue;
      await Promise.all(burst);
      published += burst.length;
      burst = [];
      onProgress(published);
      // audited() moves with messages of other processes, so let the event loop turn.
      while (published - audited() > WINDOW) await new Promise((resolve) => setImmediate(resolve));
    }
  }
  await Promise.all(burst);
  published += burst.length;
  onProgress(published);
  const seconds = (now() - started) / 1000;
  await bus.disconnect();
  return { published, rounds, seconds };
}
