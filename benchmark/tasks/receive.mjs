// Receives a flood on a pattern subscription for a fixed time and counts what reaches the handler.

import { once } from 'node:events';
import { connect } from 'node:net';
import { PATTERN } from '../support/channel.mjs';
import { FLOOR } from '../support/contestants.mjs';
import { CREDIT, textsOf } from '../support/events.mjs';
import { startMeter } from '../support/meter.mjs';
import { highestResident } from '../support/resident.mjs';

/** How long nothing may arrive before the rest counts as lost. */
const SILENCE_MS = 2000;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function run({ load, contestant, params, parent }) {
  if (contestant === FLOOR) return parseOnly(params);
  const { url, handler, duration, warmUp, creditPort } = params;
  const bus = (await load()).createBus(url);
  await bus.connect();

  const credits = connect(creditPort, '127.0.0.1');
  await once(credits, 'connect');
  credits.setNoDelay();
  const credit = Buffer.from([1]);
  let handled = 0;
  const count = (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    handled += 1;
    if (handled % CREDIT === 0) credits.write(credit);
  };
  const handlers = {
    sync: count,
    async: async (event) => {
      await undefined;
      count(event);
    },
  };
  await bus.subscribe(PATTERN, handlers[handler]);

  parent.send({ kind: 'subscribed' });
  await pause(warmUp);
  const meter = startMeter();
  const before = handled;
  await pause(duration);
  const result = { ...meter.stop(handled - before), resident: highestResident() };
  parent.send({ kind: 'measured' });

  const { sent } = await parent.next('sent');
  for (let last = -1; handled < sent && last !== handled; ) {
    last = handled;
    const deadline = performance.now() + SILENCE_MS;
    while (handled === last && performance.now() < deadline) await pause(5);
  }
  const dropped = bus.dropped?.() ?? 0;
  await bus.close();
  return { ...result, sent, lost: sent - handled, dropped };
}

async function parseOnly({ payload, duration, warmUp }) {
  const nextTexts = textsOf(payload, CREDIT);
  let parsed = 0;
  let meter = startMeter();
  const parseFor = async (time) => {
    const deadline = performance.now() + time;
    while (performance.now() < deadline) {
      for (const text of meter.without(nextTexts)) JSON.parse(text);
      parsed += CREDIT;
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  await parseFor(warmUp);
  meter = startMeter();
  const before = parsed;
  await parseFor(duration);
  const result = { ...meter.stop(parsed - before), resident: highestResident() };
  return { ...result, sent: 0, lost: 0, dropped: 0 };
}
