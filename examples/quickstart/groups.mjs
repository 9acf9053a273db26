// Webhooks that are stored, and the consumer groups that handle them. One has a fault: what it could
// not handle ends among the dead letters, and is handled after the fix.

import { EventBusClient } from '../../index.js';
import { githubWebhooks } from './payloads.mjs';

/** The groups: name, the types each one wants, and what its handler does. */
export const groups = [
  { name: 'archive', pattern: '*' },
  { name: 'deploy', pattern: 'github.push' },
];

const handlers = {
  archive: () => {},
  // A push that deletes a branch or a tag has no head commit.
  deploy: ({ data }, fixed) => (fixed ? data.head_commit?.id : data.head_commit.id),
};

/** The stream is the same in every service; the name keeps runs apart that share a Redis. */
export const streamName = (options) => `${options.channelPrefix ?? ''}webhooks`;

const open = (serviceName, options) =>
  new EventBusClient({
    serviceName,
    ...options,
    streams: [
      {
        name: streamName(options),
        events: 'github.*',
        consumerGroups: groups.map(({ name }) => name),
      },
    ],
    logger: silent,
  });

// Failures are what this is about, and are in the report.
const silent = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * Starts a member of a group. After `fix` its handler is free of the fault.
 * @param {import('./services.mjs').BusOptions} options
 * @param {{ name: string, pattern: string }} group
 */
export async function startMember(options, { name, pattern }) {
  const bus = open(name, options);
  let fixed = false;
  let handled = 0;
  await bus.subscribe(
    pattern,
    (event) => {
      handlers[name](event, fixed);
      handled += 1;
    },
    { group: name, maxRetries: 1, retry: { initialDelay: 10 } },
  );
  return {
    async fix() {
      fixed = true;
    },
    async stop() {
      await bus.disconnect();
      return { handled };
    },
  };
}

/** The service that stores the webhooks and looks after what becomes of them. */
export async function startKeeper(options) {
  const bus = open('keeper', options);
  const stream = streamName(options);
  await bus.connect();
  return {
    /** Publishes every webhook once. Answers with how many were stored. */
    async store() {
      const results = await bus.publishBatch(githubWebhooks());
      return results.filter(({ status, value }) => status === 'fulfilled' && value.messageId)
        .length;
    },
    /** Waits until every group has read and settled everything. */
    async settled(deadline) {
      const end = Date.now() + deadline;
      for (;;) {
        const info = await bus.streams.info(stream);
        const behind = info.groups.filter(
          ({ pending, lastDeliveredId }) => pending > 0 || lastDeliveredId !== info.lastId,
        );
        if (behind.length === 0 || Date.now() > end) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    },
    letters: () => bus.deadLetters.list({ stream }),
    replay: () => bus.deadLetters.replayAll({ stream }),
    async stop() {
      await bus.streams.trim(stream, { maxLength: 0 });
      await bus.deadLetters.purge(stream);
      await bus.disconnect();
    },
  };
}
