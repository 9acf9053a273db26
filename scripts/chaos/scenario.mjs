// What a run is made of: streams, groups, and kinds of events. Publishers, consumers and the
// verification read it here.

export const groups = ['billing', 'mail'];

/** The group of each consumer process. */
export const consumers = ['billing', 'billing', 'mail'];

export const PUBLISHERS = 2;

const consumerGroups = groups.map((name) => ({ name, from: 'beginning' }));

/** One stream is written by plain commands, the other by the script that also publishes live. */
export const streams = [
  { name: 'chaos-plain', events: 'chaos.plain.*', realtime: false, consumerGroups },
  { name: 'chaos-live', events: 'chaos.live.*', realtime: true, consumerGroups },
];

/** What becomes of an event: `flaky` fails once, the last two never succeed. */
const kinds = [
  { kind: 'order', share: 0.85 },
  { kind: 'flaky', share: 0.09 },
  { kind: 'broken', share: 0.03 },
  { kind: 'stubborn', share: 0.03 },
];

export const kindOf = (type) => type.slice(type.lastIndexOf('.') + 1);

/** Whether an event of that type has to end in the dead letters. */
export const isBuiltToFail = (type) => ['broken', 'stubborn'].includes(kindOf(type));

export function randomType(random) {
  let left = random.next();
  const { kind } = kinds.find(({ share }) => {
    left -= share;
    return left < 0;
  }) ?? { kind: 'order' };
  return `chaos.${random.pick(['plain', 'live'])}.${kind}`;
}

/** The configuration of every client. */
export const clientOptions = (serviceName, url) => ({
  serviceName,
  mode: 'redis',
  redis: url,
  streams,
  // The lease is short, so that another process soon has what a killed one held.
  lease: 2000,
  // The run counts failures by the events of the client; a log line for each would hide the result.
  logger: { debug() {}, info() {}, warn() {}, error() {} },
});

const retry = { initialDelay: 50, maxDelay: 500, multiplier: 2 };

/**
 * The subscriptions of every consumer. They have so many retries that no innocent event is suspected of
 * having killed the processes that held it.
 */
export const subscriptions = [
  {
    patterns: ['chaos.*.order', 'chaos.*.flaky', 'chaos.*.broken'],
    options: { maxRetries: 10, retry },
  },
  { patterns: ['chaos.*.stubborn'], options: { maxRetries: 2, retry } },
];
