// What a run is made of: settings, streams, groups, and kinds of events. Publishers, consumers and the
// verification read it here.
//
// A run has two settings, each with a server of its own. In the rough one processes and the server are killed and
// frozen; there nothing may be lost, so nothing may be told as lost. In the calm one nothing is killed or frozen, and
// processes are restarted as services are. Only there can told losses add up, as what is told to a process that is
// killed is written down by nobody; and only there is a delay exact, as a kill may come before it is stored.
//
// Where replicas take over from masters there is one setting, in which processes are killed and frozen too. Half of its
// events wait until all replicas have them, and none of those may be lost. What is lost of the others is counted. Its
// streams are not trimmed: what they hold in the end is what counts as accepted.

const consumerGroups = (...names) => names.map((name) => ({ name, from: 'beginning' }));
const everybody = consumerGroups('billing', 'mail', 'audit');

/** How many entries a stream keeps whose groups are slower than its publisher. */
const TRIMMED_TO = 100;

export const settings = {
  rough: {
    // One stream is written by plain commands, one by the script that also publishes live, and one is trimmed to what
    // its groups have still to handle.
    streams: [
      {
        name: 'chaos-plain',
        events: 'chaos.plain.*',
        realtime: false,
        consumerGroups: everybody,
      },
      { name: 'chaos-live', events: 'chaos.live.*', realtime: true, consumerGroups: everybody },
      {
        name: 'chaos-safe',
        events: 'chaos.safe.*',
        realtime: false,
        maxLength: TRIMMED_TO,
        consumerGroups: everybody,
      },
    ],
    publishers: [
      { topics: ['plain', 'live', 'safe'], most: 1, pause: 20 },
      { topics: ['plain', 'live', 'safe'], most: 1, pause: 20 },
    ],
  },
  failover: {
    streams: [
      {
        name: 'chaos-plain',
        events: 'chaos.plain.*',
        realtime: false,
        consumerGroups: everybody,
      },
      { name: 'chaos-live', events: 'chaos.live.*', realtime: true, consumerGroups: everybody },
      { name: 'chaos-more', events: 'chaos.more.*', realtime: false, consumerGroups: everybody },
    ],
    publishers: [
      { topics: ['plain', 'live', 'more'], most: 1, pause: 20, replicated: 0.5 },
      { topics: ['plain', 'live', 'more'], most: 1, pause: 20, replicated: 0.5 },
    ],
  },
  calm: {
    streams: [
      {
        name: 'chaos-trim',
        events: 'chaos.trim.*',
        realtime: false,
        maxLength: TRIMMED_TO,
        safeTrim: false,
        consumerGroups: consumerGroups('slow'),
      },
      {
        name: 'chaos-delay',
        events: 'chaos.delay.*',
        realtime: false,
        consumerGroups: consumerGroups('deploy'),
      },
    ],
    publishers: [
      { topics: ['trim'], most: 400, pause: 1000 },
      { topics: ['delay'], most: 4, pause: 200, kinds: ['delayed'] },
    ],
  },
};

/** A stream of which entries may be trimmed that a group has not read, which it is then told. */
export const losesEntries = ({ safeTrim }) => safeTrim === false;

/** Whether masters are replaced, with what they took and no replica had. */
export const failsOver = (setting) => setting === 'failover';

/** A stream that does not hold all entries in the end. */
export const isTrimmed = ({ maxLength }) => maxLength !== undefined;

/** What becomes of an event: `flaky` fails once, the last two never succeed. */
const shares = [
  { kind: 'order', share: 0.8 },
  { kind: 'flaky', share: 0.09 },
  { kind: 'delayed', share: 0.05 },
  { kind: 'broken', share: 0.03 },
  { kind: 'stubborn', share: 0.03 },
];

/** The kinds of events in the order in which the versions of a growing service come to know them. */
export const kinds = shares.map(({ kind }) => kind);

export const kindOf = (type) => type.slice(type.lastIndexOf('.') + 1);

/** Whether no handler of an event of that type succeeds. */
export const isBuiltToFail = (type) => ['broken', 'stubborn'].includes(kindOf(type));

export function randomKind(random) {
  let left = random.next();
  const found = shares.find(({ share }) => {
    left -= share;
    return left < 0;
  });
  return (found ?? shares[0]).kind;
}

/** The delays in ms, at most two, that the handler of a delayed event asks for: some are longer than the lease. */
export const randomDelays = (random) =>
  Array.from({ length: random.chance(0.3) ? 2 : 1 }, () => Math.round(random.between(300, 5000)));

/** How long what a program of another make has is left to it, in ms: it is sometimes slower than the lease. */
export const foreignLease = 10_000;

/** The configuration of every client; the build before knows no consumers of other programs. */
export const clientOptions = (setting, serviceName, redis, build) => ({
  serviceName,
  mode: 'redis',
  redis,
  streams: settings[setting].streams,
  // The lease is short, so that another process soon has what a killed one held.
  lease: 2000,
  ...(build === 'before' ? {} : { foreignLease }),
  // The run counts failures by the events of the client; a log line for each would hide the result.
  logger: { debug() {}, info() {}, warn() {}, error() {} },
});

const retry = { initialDelay: 50, maxDelay: 500, multiplier: 2 };

/** What the events of a group are called; a service whose group reads two streams subscribes to both at once. */
const topicsOf = { slow: 'trim', deploy: 'delay' };

/**
 * The subscriptions of a consumer, by kind. They have so many retries that no innocent event is suspected of having
 * killed the processes that held it.
 */
export function subscriptionsOf(group, known) {
  const topic = topicsOf[group] ?? '*';
  return known.map((kind) => ({
    patterns: [`chaos.${topic}.${kind}`],
    options: { maxRetries: kind === 'stubborn' ? 2 : 10, retry },
  }));
}

/** The same as one subscription: the build before acknowledges what it reads between one and the next. */
export const subscriptionOfAll = (group) => [
  {
    patterns: subscriptionsOf(group, kinds).flatMap(({ patterns }) => patterns),
    options: { maxRetries: 10, retry },
  },
];
