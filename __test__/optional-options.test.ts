/** Options may be given as undefined: in their types, with `exactOptionalPropertyTypes`, and at run time. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EventBusClient, EventBusManager } from '..';
import { createTestBus } from '../testing';

const text = readFileSync(join(__dirname, '..', 'index.d.ts'), 'utf8');

/** The optional members of an interface of the contract, each with its type. */
function optionalMembers(name: string): [string, string][] {
  const found = new RegExp(`^export interface ${name}\\b[^{]*{\\n([\\s\\S]*?)^}`, 'm').exec(text);
  if (found === null) throw new Error(`there is no interface ${name}`);
  const body = (found[1] as string).replaceAll(/\/\*[\s\S]*?\*\//g, '');
  const members = body.matchAll(/^ {2}(\w+)\?:([\s\S]*?);$/gm);
  return [...members].map(([, member, type]) => [member as string, type as string]);
}

/** All interfaces that a user gives values of: by their names, so that a new one is among them. */
const given = [...text.matchAll(/^export interface (\w*(?:Options|Config|Query))\b/gm)].map(
  ([, name]) => name as string,
);

/** What is refused when it is undefined, as the call would mean far more without it. */
const REFUSED: Record<string, string[]> = {
  SubscribeOptions: ['group', 'filter'],
  RecoverOptions: ['stream', 'group'],
  ReplayAllQuery: ['stream', 'group', 'reason'],
};

test('the interfaces of options are found', () => {
  expect(given.length).toBeGreaterThan(20);
  expect(given).toEqual(expect.arrayContaining(['EventBusConfig', 'RedisConfig', 'HistoryQuery']));
});

test.each(given)(
  '%s: every optional member takes undefined, but those that are refused',
  (name) => {
    const refusing = optionalMembers(name).filter(([, type]) => !/\bundefined$/.test(type.trim()));
    expect(refusing.map(([member]) => member)).toEqual(REFUSED[name] ?? []);
  },
);

/** All optional members of an interface, undefined. */
const undefinedOnes = (name: string) =>
  Object.fromEntries(
    optionalMembers(name)
      .filter(([member]) => !REFUSED[name]?.includes(member))
      .map(([member]) => [member, undefined]),
  );

test('at run time undefined is as if it were not given', async () => {
  const config = { ...undefinedOnes('EventBusConfig'), mode: 'memory' as const };
  const nested = {
    redis: undefinedOnes('RedisConfig'),
    persistence: undefinedOnes('PersistenceConfig'),
    deadLetter: undefinedOnes('DeadLetterConfig'),
    validation: undefinedOnes('ValidationConfig'),
    performance: undefinedOnes('PerformanceConfig'),
    retry: undefinedOnes('RetryOptions'),
    streams: [{ ...undefinedOnes('StreamConfig'), name: 's', events: 's.*' }],
    logLevel: 'error' as const,
  };
  const quiet = { logLevel: 'error' as const };
  await new EventBusClient({ ...config, ...quiet }).disconnect();
  const { mode: _, ...managed } = undefinedOnes('EventBusManagerOptions');
  await new EventBusManager({ ...managed, mode: 'memory', ...quiet }).shutdown();
  const bus = createTestBus(nested);
  await bus.connect(undefinedOnes('WaitOptions'));
  const subscription = await bus.subscribe('s.*', () => {}, {
    ...undefinedOnes('SubscribeOptions'),
    queue: undefinedOnes('QueueOptions'),
    circuitBreaker: undefinedOnes('CircuitBreakerOptions'),
  });
  const events = bus.events('s.*', { concurrency: undefined, queue: undefined, by: undefined });
  await events.ready();
  await bus.publish('s.a', 1, undefinedOnes('PublishOptions'));
  await bus.publishToRoom('r', 's.a', 1, undefinedOnes('RoomPublishOptions'));
  await bus.joinRoom('r', undefinedOnes('MemberOptions'));
  await bus.streams.list(undefinedOnes('ListOptions'));
  await bus.streams.recover(undefinedOnes('RecoverOptions'));
  await bus.deadLetters.list(undefinedOnes('DeadLetterQuery'));
  await bus.deadLetters.replayAll(undefinedOnes('ReplayAllQuery'));
  await bus.getHistory(undefinedOnes('HistoryQuery'));
  await subscription.unsubscribe({ wait: undefined });
  await bus.disconnect({ timeout: undefined });
});
