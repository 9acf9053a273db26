// GitHub's webhooks flow from one publisher service to three subscriber services; then each is stored
// in a stream, for two consumer groups. Without REDIS_URL all services share this process and a memory
// broker; with it, each is its own process.

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { EventBusClient } from '../../index.js';
import { groups, startKeeper, startMember } from './groups.mjs';
import { githubWebhooks } from './payloads.mjs';
import { printReport, printStored, progressLine } from './report.mjs';
import { publish, startSubscriber, subscribers } from './services.mjs';

/** How long the publisher publishes; the tests want it shorter. */
const DURATION_MS = Number(process.env.QUICKSTART_MS ?? 2500);
/** How long the last events may take to arrive. */
const ARRIVAL_MS = 5000;

/** The glob of this example: a literal, or a literal and a trailing star. */
const matches = (pattern, type) =>
  pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : type === pattern;

/** How many of all webhooks a pattern matches. */
const countOf = (pattern) => githubWebhooks().filter(({ type }) => matches(pattern, type)).length;

/** What each subscriber has to receive of one round of all webhooks. */
const perRound = new Map(subscribers.map(({ name, pattern }) => [name, countOf(pattern)]));

async function untilArrived(handled, rounds) {
  const deadline = Date.now() + ARRIVAL_MS;
  const missing = () => subscribers.some(({ name }) => handled[name] < perRound.get(name) * rounds);
  while (missing() && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
}

/**
 * Stores all webhooks while nobody is subscribed, lets groups handle them, and again what one could not
 * after it was mended. `start` starts a member of a group.
 */
async function throughStream(options, start) {
  const keeper = await startKeeper(options);
  try {
    const stored = await keeper.store();
    const members = await Promise.all(groups.map((group) => start(group)));
    await keeper.settled(ARRIVAL_MS);
    const letters = await keeper.letters();
    await Promise.all(members.map((member) => member.fix()));
    const replayed = await keeper.replay();
    await keeper.settled(ARRIVAL_MS);
    const handled = await Promise.all(members.map((member) => member.stop()));
    const rows = groups.map((group, index) => ({
      ...group,
      ...handled[index],
      expected: countOf(group.pattern),
      letters: letters.filter((letter) => letter.group === group.name),
    }));
    return { stored, replayed, groups: rows };
  } finally {
    await keeper.stop();
  }
}

const memory = { mode: 'memory', memory: 'quickstart' };

/** All services in this process, over a memory broker. */
async function inOneProcess() {
  const options = memory;
  const handled = Object.fromEntries(subscribers.map(({ name }) => [name, 0]));
  const services = [];
  for (const service of subscribers) {
    services.push(
      await startSubscriber(options, service, (count) => {
        handled[service.name] = count;
      }),
    );
  }
  const result = await publish(options, {
    duration: DURATION_MS,
    audited: () => handled.audit,
    onProgress: (published) => progressLine(published, handled),
  });
  await untilArrived(handled, result.rounds);
  const received = [];
  for (const service of services) received.push(await service.stop());
  return { result, received };
}

/** A child process, and a way to wait for the message that answers a request. */
function startProcess(onProgress) {
  const child = fork(fileURLToPath(new URL('./process.mjs', import.meta.url)));
  const answers = new Map();
  let failure;
  const fail = (error) => {
    failure ??= error;
    for (const { reject } of answers.values()) reject(failure);
    answers.clear();
  };
  child.on('message', (message) => {
    if (message.kind === 'progress') return onProgress(message);
    if (message.kind === 'failed') return fail(new Error(message.message));
    answers.get(message.kind)?.resolve(message.result);
    answers.delete(message.kind);
  });
  child.on('exit', (code) => fail(new Error(`a service ended with exit code ${code}`)));
  return {
    child,
    ask(request, answer) {
      return new Promise((resolve, reject) => {
        if (failure) return reject(failure);
        answers.set(answer, { resolve, reject });
        child.send(request);
      });
    },
  };
}

/** A member of a group as a process. */
async function startMemberProcess(options, group) {
  const started = startProcess(() => {});
  await started.ask({ kind: 'join', options, group }, 'joined');
  return {
    fix: () => started.ask({ kind: 'fix' }, 'fixed'),
    async stop() {
      const result = await started.ask({ kind: 'stop' }, 'stopped');
      if (started.child.connected) started.child.disconnect();
      return result;
    },
  };
}

/** Every service a process, over Redis. */
async function inProcesses(options) {
  const probe = new EventBusClient({ serviceName: 'quickstart', ...options });
  try {
    await probe.connect();
  } finally {
    await probe.disconnect();
  }

  const handled = Object.fromEntries(subscribers.map(({ name }) => [name, 0]));
  const processes = [];
  try {
    const publisher = startProcess(({ published }) => progressLine(published, handled));
    processes.push(publisher);
    const services = subscribers.map((service) => {
      const started = startProcess((message) => {
        handled[service.name] = message.handled;
        if (service.name === 'audit' && publisher.child.connected) {
          publisher.child.send({ kind: 'audited', handled: message.handled });
        }
      });
      processes.push(started);
      return { service, started };
    });
    await Promise.all(
      services.map(({ service, started }) =>
        started.ask({ kind: 'subscribe', options, service }, 'subscribed'),
      ),
    );
    const result = await publisher.ask(
      { kind: 'publish', options, duration: DURATION_MS },
      'published',
    );
    await untilArrived(handled, result.rounds);
    const received = await Promise.all(
      services.map(({ started }) => started.ask({ kind: 'stop' }, 'stopped')),
    );
    return { result, received };
  } finally {
    for (const { child } of processes) if (child.connected) child.disconnect();
  }
}

try {
  const redis = process.env.REDIS_URL;
  // A prefix of its own: the audit service subscribes to everything.
  const shared = { mode: 'redis', redis, channelPrefix: `oxbus-quickstart:${process.pid}:` };
  const { result, received } = redis ? await inProcesses(shared) : await inOneProcess();
  const complete = printReport({
    result,
    redis: Boolean(redis),
    services: subscribers.map((service, index) => ({
      ...service,
      ...received[index],
      expected: perRound.get(service.name) * result.rounds,
    })),
  });
  const stored = redis
    ? await throughStream(shared, (group) => startMemberProcess(shared, group))
    : await throughStream(memory, (group) => startMember(memory, group));
  if (!printStored(stored) || !complete) process.exitCode = 1;
} catch (error) {
  progressLine.end();
  console.error(`quickstart: ${error.message}`);
  process.exitCode = 1;
}
