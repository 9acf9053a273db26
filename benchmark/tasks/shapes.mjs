// Takes a backlog of events that has come in while the JavaScript thread was blocked, so that this thread does nothing
// but read and dispatch them. Only that is timed, again and again: the processor time of the thread.

import { once } from 'node:events';
import { connect } from 'node:net';
import { PATTERN } from '../support/channel.mjs';
import { FLOOR } from '../support/contestants.mjs';
import { CREDIT, textsOf } from '../support/events.mjs';
import { startMeter } from '../support/meter.mjs';
import { blockThread, threadTime } from '../support/thread-time.mjs';

const ARRIVAL_MS = 10_000;

export async function run({ load, contestant, params }) {
  let meter = startMeter();
  const aside = (call) => meter.without(call);
  const backlog =
    contestant === FLOOR ? parsed(params, aside) : await received(await load(), params);
  const takeFor = async (time) => {
    const deadline = performance.now() + time;
    let [events, ms] = [0, 0];
    do {
      const taken = await backlog.take();
      events += taken.events;
      ms += taken.ms;
    } while (performance.now() < deadline);
    return { events, ms };
  };
  await takeFor(params.warmUp);
  meter = startMeter();
  const { events, ms } = await takeFor(params.duration);
  const { cpu } = meter.stop(events);
  await backlog.close();
  return { js: (ms * 1000) / events, cpu };
}

/** Backlogs of a subscription. */
async function received({ createBus }, { url, events, creditPort }) {
  const bus = createBus(url);
  await bus.connect();
  const credits = connect(creditPort, '127.0.0.1');
  await once(credits, 'connect');
  credits.setNoDelay();
  const credit = Buffer.alloc(events / CREDIT);
  let handled = 0;
  let target = 0;
  let finish;
  await bus.subscribe(PATTERN, (event) => {
    if (event.data === undefined) throw new Error('an event without data');
    handled += 1;
    if (handled === target) finish(threadTime());
  });
  return {
    async take() {
      target += events;
      const finished = new Promise((resolve) => {
        finish = resolve;
      });
      await new Promise((resolve) => credits.write(credit, resolve));
      const deadline = performance.now() + ARRIVAL_MS;
      while (bus.received() < target) {
        if (performance.now() > deadline) throw new Error(`${bus.received()} of ${target} came in`);
        blockThread(1);
      }
      const [before, started] = [handled, threadTime()];
      return { ms: (await finished) - started, events: target - before };
    },
    close: () => bus.close(),
  };
}

/** The same texts, parsed and nothing else. */
function parsed({ payload, events }, aside) {
  const nextTexts = textsOf(payload, events);
  return {
    async take() {
      const texts = aside(nextTexts);
      const started = threadTime();
      for (const text of texts) JSON.parse(text);
      const ms = threadTime() - started;
      await new Promise((resolve) => setImmediate(resolve));
      return { ms, events };
    },
    close: () => {},
  };
}
