import { backlogOf, emptied } from './support/backlog.mjs';
import { startCluster } from './support/cluster.mjs';
import { subjects } from './support/contestants.mjs';
import { countingArrivals } from './support/counting.mjs';
import { measureLiveLoad } from './support/live-load.mjs';
import { measureMove } from './support/slot-move.mjs';
import { runTask } from './support/task.mjs';

export const question =
  'What does a Redis Cluster of three masters cost its clients, and what do they see when slots move?';

export const metrics = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0, compared: true },
  { key: 'cpu', label: 'CPU µs/event', better: 'lower', digits: 2, compared: true },
  { key: 'js', label: 'JS thread µs/event', better: 'lower', digits: 2 },
];

const ofMove = [
  { key: 'rate', label: 'events/s', better: 'higher', digits: 0 },
  { key: 'lost', label: 'lost', better: 'lower', digits: 0, must: 0 },
  { key: 'late', label: 'out of order', better: 'lower', digits: 0, must: 0 },
  { key: 'repeated', label: 'again', better: 'lower', digits: 0 },
  { key: 'moving', label: 'move, ms', better: 'lower', digits: 0 },
  ...['before', 'during', 'after'].flatMap((phase) => [
    { key: `${phase}P50`, label: `${phase}: p50 ms`, better: 'lower', digits: 2 },
    { key: `${phase}P99`, label: 'p99 ms', better: 'lower', digits: 1 },
  ]),
  { key: 'duringMost', label: 'during: longest ms', better: 'lower', digits: 0 },
];

const ofLiveLoad = [
  {
    key: 'server',
    label: 'CPU of all servers, µs/event',
    better: 'lower',
    digits: 2,
    compared: true,
  },
  ...metrics,
  // Of queues that are full: live events come at most once.
  { key: 'dropped', label: 'dropped', better: 'lower', digits: 0 },
  { key: 'lost', label: 'lost', better: 'lower', digits: 0, must: 0 },
];

const GROUP = 'bench';
/** More events per second than a contestant reaches, so that the backlog lasts. */
const atMost = { 'ioredis-grouped-acks': 200_000 };
const AT_MOST = 700_000;

const ours = [...subjects, 'oxbus-one-node'];

export const cases = [
  {
    name: 'published live, small events, 500 in flight',
    inFlight: 500,
    measured: publish,
    contestants: ours,
  },
  {
    name: 'published live, small events, 40,000 a second',
    rate: 40_000,
    measured: publish,
    contestants: ours,
  },
  {
    name: 'stored in three streams, one on each master, small events, 500 in flight',
    inFlight: 500,
    measured: store,
    contestants: [...ours, 'ioredis-autopipelining'],
  },
  {
    name: 'stored in three streams, one on each master, small events, 40,000 a second',
    rate: 40_000,
    measured: store,
    contestants: ours,
  },
  {
    name: 'three streams consumed, one on each master, small events, 100 at once, async handler',
    concurrency: 100,
    measured: consume,
    contestants: [...ours, 'ioredis-grouped-acks'],
  },
  {
    name: 'six streams move to other masters, 20,000 small events/s',
    metrics: ofMove,
    rate: 20_000,
    concurrency: 100,
    measured: move,
    contestants: subjects,
  },
  {
    name: 'live events of 48 types, three listeners with 16 types each, 500 in flight',
    metrics: ofLiveLoad,
    inFlight: 500,
    each: false,
    measured: measureLiveLoad,
    contestants: ['oxbus', 'oxbus-sharded'],
  },
  {
    name: 'live events of 48 types, three listeners by a pattern, 500 in flight',
    metrics: ofLiveLoad,
    inFlight: 500,
    each: true,
    measured: measureLiveLoad,
    contestants: ['oxbus', 'oxbus-sharded'],
  },
];

let started;

/** One run of one contestant on the Cluster, or on the one server. */
export async function measure(contestant, definition, context) {
  started ??= startCluster();
  const cluster = await started;
  const target = { url: context.server.url, nodes: cluster.nodes };
  await cluster.settled();
  return emptied(context.server, async () => {
    try {
      return await definition.measured(contestant, definition, { ...context, cluster, target });
    } finally {
      await cluster.empty();
    }
  });
}

/** Ends the Cluster. */
export async function end() {
  await (await started)?.stop();
  started = undefined;
}

const isAlone = (contestant) => contestant === 'oxbus-one-node';

/** Where a stream is for a contestant. */
const placeOf = (contestant, { master }, { server }) => (isAlone(contestant) ? server : master);

/** What a process of a contestant is told of streams. */
const told = (streams) => streams.map(({ name, events, type }) => ({ name, events, type }));

/** Fails when not all events arrive at another node than the one that they are published to. */
function publish(contestant, { inFlight, rate }, context) {
  const { server, cluster, target, duration, warmUp } = context;
  const params = { target, payload: 'small', inFlight, rate, duration, warmUp };
  const counted = isAlone(contestant) ? server : cluster.masters[0];
  const publishing = () => runTask(contestant, 'cluster-publish', params);
  return countingArrivals(counted, publishing, ({ published }) => published);
}

/** Fails when not every published event is in a stream. */
async function store(contestant, { inFlight, rate }, context) {
  const { cluster, target, duration, warmUp } = context;
  const streams = await cluster.freshStreams(1);
  const result = await runTask(contestant, 'cluster-publish', {
    ...{ target, streams: told(streams), payload: 'small', inFlight, rate, duration, warmUp },
  });
  const { stored: storedIn } = backlogOf(contestant);
  let stored = 0;
  for (const stream of streams) {
    stored += await storedIn(placeOf(contestant, stream, context), stream.name);
  }
  if (stored !== result.published) {
    throw new Error(`${result.published} events were published and ${stored} stored`);
  }
  return result;
}

/** Fails when not exactly what was handled is acknowledged. */
async function consume(contestant, { concurrency }, context) {
  const { cluster, target, duration, warmUp } = context;
  const streams = await cluster.freshStreams(1);
  const perSecond = (atMost[contestant] ?? AT_MOST) / streams.length;
  const each = Math.ceil((perSecond * (duration + warmUp)) / 1000);
  const { fill, acknowledged: acknowledgedIn } = backlogOf(contestant);
  const places = streams.map((stream) => placeOf(contestant, stream, context));
  await Promise.all(
    streams.map(({ name, type }, at) => fill(places[at], name, each, 'small', type)),
  );
  const result = await runTask(contestant, 'cluster-consume', {
    ...{ target, streams: told(streams), group: GROUP, concurrency, duration, warmUp },
    count: each * streams.length,
  });
  let acknowledged = 0;
  for (const [at, { name }] of streams.entries()) {
    acknowledged += await acknowledgedIn(places[at], name, GROUP);
  }
  if (acknowledged !== result.handled) {
    throw new Error(`${result.handled} events were handled and ${acknowledged} acknowledged`);
  }
  return result;
}

/** Fails when an event is lost, or comes before one that its client published before it to the same stream. */
async function move(contestant, { rate, concurrency }, context) {
  const { cluster, target } = context;
  const streams = told(await cluster.freshStreams(2));
  const params = { target, streams, group: GROUP, concurrency, rate, payload: 'small' };
  return measureMove(contestant, cluster, params, context);
}
