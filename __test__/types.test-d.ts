/** Compiled, never run: the types of the contract. */

import {
  type BusEvent,
  type ErrorCode,
  type Event,
  EventBusClient,
  EventBusError,
  EventBusManager,
  type EventOf,
  eventBusManager,
  type FlatEvent,
  type GroupContext,
  type HandlerContext,
  type PatternEvent,
  type PublishResult,
  type RemoteOutcome,
  rawJson,
  type SubscribeOptions,
  type Subscription,
} from '..';
import { createTestBus } from '../testing';

type Events = {
  'photo.uploaded': { photoId: string; userId: string };
  'photo.deleted': { photoId: string };
  'user.created': { name: string };
};

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

type Type<P extends string | readonly string[]> = PatternEvent<Events, P>['type'];
type All = keyof Events;

holds<Equal<Type<'photo.uploaded'>, 'photo.uploaded'>>();
holds<Equal<Type<'photo.*'>, 'photo.uploaded' | 'photo.deleted'>>();
holds<Equal<Type<'*'>, All>>();
holds<Equal<Type<'*.created'>, All>>();
holds<Equal<Type<'photo.?*'>, All>>();
holds<Equal<Type<'[p]*'>, All>>();
holds<Equal<Type<'video.*'>, All>>();
holds<Equal<Type<string>, All>>();
holds<Equal<Type<['photo.deleted', 'user.*']>, 'photo.deleted' | 'user.created'>>();
holds<Equal<EventOf<Events, 'user.created'>['data'], { name: string }>>();
holds<Equal<Event, BusEvent>>();
holds<Equal<PatternEvent<Record<string, any>, '*'>['type'], string>>();

declare const bus: EventBusClient<Events>;
declare const loose: EventBusClient;

export async function publishing(): Promise<void> {
  const result: PublishResult = await bus.publish('photo.deleted', { photoId: '1' });
  result.receivers.toFixed();
  // @ts-expect-error a field is missing
  await bus.publish('photo.uploaded', { photoId: '1' });
  // @ts-expect-error no such type
  await bus.publish('photo.renamed', {});
  // @ts-expect-error no such option
  await bus.publish('photo.deleted', { photoId: '1' }, { steam: 'x' });
  const stored = await bus.publish('photo.deleted', { photoId: '1' }, { stream: 'x', replicas: 1 });
  if (stored.duplicate !== true) stored.messageId?.trim();
  const once = { id: '1', deduplicate: { ttl: 5 }, stream: false } as const;
  await bus.publish('photo.deleted', { photoId: '1' }, once);
  await bus.publishBatch([
    { type: 'photo.deleted', data: { photoId: '1' }, key: 'k' },
    { type: 'user.created', data: { name: 'n' } },
  ]);
  // @ts-expect-error the data of another type
  await bus.publishBatch([{ type: 'photo.deleted', data: { name: 'n' } }]);
  await bus.broadcast('user.created', { name: 'n' });
  await loose.publish('anything', { at: 'all' });
}

export async function subscribing(): Promise<void> {
  const sub: Subscription = await bus.subscribe('photo.*', (event, ctx: HandlerContext) => {
    if (event.type === 'photo.uploaded') event.data.userId.trim();
    // @ts-expect-error not every photo event has it
    event.data.userId;
    ctx.signal.throwIfAborted();
  });
  sub.pause();
  await bus.subscribe('user.created', async ({ data }) => void data.name.trim());
  await bus.subscribe(['photo.deleted', 'user.*'], (event) => {
    if (event.type === 'user.created') event.data.name.trim();
    else event.data.photoId.trim();
  });
  for await (const event of bus.events('photo.uploaded')) event.data.userId.trim();
  await bus.subscribe('user.created', ({ data }) => data.parse().name.trim() + data.text, {
    data: 'raw',
  });
  await bus.subscribe(
    'user.*',
    ({ data }, { messageId }) => [data.bytes.length, messageId.trim()],
    {
      group: 'archive',
      data: 'raw',
    },
  );
  await bus.subscribe('user.*', (events) => events.map(({ data }) => data.text), {
    group: 'archive',
    batch: { size: 2 },
    data: 'raw',
  });
  // @ts-expect-error it is text
  await bus.subscribe('user.created', ({ data }) => data.name, { data: 'raw' });
  for await (const event of bus.events('user.created', { data: 'raw' })) event.data.parse().name;
  await bus.publish('user.created', rawJson('{"userId":"1","name":"x"}'));
  // @ts-expect-error not an option of an iterator
  bus.events('*', { timeout: 5 });
  await bus.subscribeAll({
    subscribedTo: () => ['photo.deleted'],
    handle(event) {
      if (event.type === 'photo.deleted') event.data.photoId.trim();
    },
  });
  await loose.subscribe('x', (event) => event.data.anything.goes);
  await using scoped = await bus.subscribe('*', (event) => event.type);
  scoped.id.trim();
}

export async function subscribingGroups(): Promise<void> {
  const options: SubscribeOptions = { timeout: 5 };
  await bus.subscribe(
    '*',
    (event, ctx) => {
      event.type satisfies All;
      ctx.messageId?.trim();
      // @ts-expect-error live events have none
      ctx.messageId.trim();
    },
    options,
  );
  const sub = await bus.subscribe(
    'photo.*',
    (event, ctx) => {
      holds<Equal<(typeof event)['type'], 'photo.uploaded' | 'photo.deleted'>>();
      ctx.messageId.concat(ctx.stream, ctx.group, ctx.deliveryCount.toFixed());
    },
    { group: 'g', from: new Date(), consumer: 'c', orderBy: 'key', streams: 'photos' },
  );
  sub.group?.trim();
  await bus.subscribe(
    'user.created',
    async (events, ctx) => {
      events.map((event) => event.data.name.trim());
      ctx.messageIds.concat(ctx.streams);
    },
    { group: 'g', batch: { size: 5, wait: 10 } },
  );
  // @ts-expect-error batches need a group
  await bus.subscribe('*', () => {}, { batch: { size: 5 } });
  // @ts-expect-error no such order
  await bus.subscribe('*', () => {}, { group: 'g', orderBy: 'time' });
  const handle = (_: BusEvent, ctx: GroupContext) => ctx.group;
  await bus.subscribe('*', handle, { group: 'g' });
  // @ts-expect-error it needs a group
  await bus.subscribe('*', handle);
  await bus.subscribeAll(
    { subscribedTo: () => ['*'], handle: (_, ctx) => ctx.stream.trim() },
    { group: 'g' },
  );
  await bus.subscribeAll(
    { subscribedTo: () => ['*'], handle: (events) => events.length },
    { group: 'g', batch: { size: 2 } },
  );
  for await (const event of bus.events('user.*', { group: 'g' })) event.data.name.trim();
  // @ts-expect-error not an option of an iterator
  bus.events('*', { group: 'g', batch: { size: 2 } });
}

export async function administration(): Promise<void> {
  const { groups } = await bus.streams.info('photos');
  groups[0]?.consumers[0]?.name.trim();
  await bus.streams.trim('photos', { before: new Date() });
  // @ts-expect-error one of them
  await bus.streams.trim('photos', { before: 5, maxLength: 5 });
  await bus.streams.setPosition('photos', 'g', 'beginning');
  const [deadLetter] = await bus.deadLetters.list({ stream: 'photos' });
  deadLetter?.error.message.concat(deadLetter.event?.type ?? '');
  const past = await bus.getHistory({ type: 'photo.*', from: '2026-01-01T00:00:00Z' });
  holds<Equal<(typeof past)[0]['type'], 'photo.uploaded' | 'photo.deleted'>>();
  const any = await bus.getHistory();
  holds<Equal<(typeof any)[0]['type'], All>>();
  const event = await bus.getEvent('1');
  if (event?.type === 'user.created') event.data.name.trim();
  const { truncated } = await bus.replay({
    pattern: 'user.*',
    handler: ({ data }, ctx) => data.name.concat(ctx.stream),
  });
  truncated satisfies boolean;
  await bus.replay({ stream: 'photos', from: 5, group: 'g' });
  // @ts-expect-error a stream or a pattern
  await bus.replay({ handler: () => {} });
  // @ts-expect-error a handler or a group
  await bus.replay({ stream: 'photos', handler: () => {}, group: 'g' });
}

export function listening(): void {
  bus
    .on('error', (error) => {
      const code: ErrorCode = error.code;
      code.trim();
    })
    .once('gap', ({ from, patterns }) => from.concat(...patterns))
    .on('ready', () => {});
  // @ts-expect-error no such event
  bus.on('connected', () => {});
  // @ts-expect-error not a code
  new EventBusError('ERR_OTHER', 'x');
  bus.on('deadLetter', ({ event, error }) => error.message.concat(event?.id ?? ''));
  bus.on('claimLost', ({ eventId }) => eventId?.trim());
  new EventBusClient({
    streams: [{ name: 'photos', events: 'photo.*', retention: 'time', retentionValue: 5 }],
    persistence: { ttl: 5 },
    deadLetter: { suffix: '_dlq' },
    lease: 5000,
  });
  // @ts-expect-error of a later release
  new EventBusClient({ streams: [{ name: 'photos', events: '*', partitions: 4 }] });
}

export async function rooms(bus: EventBusClient<Events>): Promise<void> {
  const joined: boolean = await bus.joinRoom('a', { member: 'm' });
  const members: string[] = await bus.getRoomMembers('a');
  await bus.publishToRoom('a', 'photo.deleted', { photoId: '1' }, { except: members, key: 'k' });
  const result: PublishResult = await bus.publishToUser('u', 'photo.deleted', { photoId: '1' });
  await Promise.all([bus.leaveRoom('a'), bus.joinUser('u'), bus.leaveUser('u')]);
  // @ts-expect-error no such type
  await bus.publishToRoom('a', 'photo.renamed', {});
  // @ts-expect-error rooms only
  await bus.publishToUser('u', 'photo.deleted', { photoId: '1' }, { except: [] });
  // @ts-expect-error no such option
  await bus.joinRoom('a', { members: [] });
  result.channel.concat(String(joined));
}

export async function testing(): Promise<void> {
  await using test = createTestBus<Events>({ streams: [{ name: 'photos', events: '*' }] });
  const [event] = test.published('photo.*');
  if (event?.type === 'photo.uploaded') event.data.userId.trim();
  await test.client<{ other: 1 }>().publish('other', 1);
  // @ts-expect-error a number
  await test.advance('1h');
  // @ts-expect-error no such type
  await test.publish('photo.renamed', {});
}

export async function onBothSides(): Promise<void> {
  const bus = new EventBusClient<Events>({ mode: 'hybrid' });
  const data = { photoId: '1', userId: '2' };
  const { local, remote } = await bus.publish('photo.uploaded', data, { localOnly: true });
  local.toFixed();
  remote?.concat('resolved' satisfies RemoteOutcome);
  await bus.subscribe('photo.*', () => {}, { localOnly: true });
  // @ts-expect-error no such outcome
  'sent' satisfies RemoteOutcome;
  // @ts-expect-error no such mode
  new EventBusClient({ mode: 'local-only' });
}

export async function managing(): Promise<void> {
  const given: FlatEvent<{ bookingId: string }> = { type: 'a', metadata: { bookingId: '1' } };
  const ids: string[] = await eventBusManager.subscribe<{ bookingId: string }>(
    'a',
    (event, ctx) => {
      event.metadata.bookingId.concat(event.timestamp.toISOString(), event.id, ctx.channel);
      // @ts-expect-error not every event has one
      event.userId.trim();
      // @ts-expect-error no such field
      event.metadata.other;
      void eventBusManager.publish(event);
    },
  );
  await eventBusManager.subscribe('a', ({ metadata }) => metadata.anything.goes, {
    localOnly: true,
  });
  const result: PublishResult = await eventBusManager.publish(given, { redisOnly: true });
  // @ts-expect-error no such option
  await eventBusManager.publish(given, { stream: 's' });
  // @ts-expect-error batches are for clients
  await eventBusManager.subscribe('a', () => {}, { batch: { size: 5 } });
  const { stats, health, uptime } = await eventBusManager.getSystemStats();
  stats.redisHealth.latency?.toFixed(stats.eventsPublished + uptime);
  health.status.concat(result.eventId);
  await eventBusManager.unsubscribe(ids);
  const own = new EventBusManager({ shutdownSignals: ['SIGTERM'], statusInterval: 5 });
  own.client?.on('gap', () => {});
  // @ts-expect-error no such signal
  new EventBusManager({ shutdownSignals: ['SIGKILL'] });
}

interface InterfaceEvents {
  a: { n: number };
}
export const withInterface = new EventBusClient<InterfaceEvents>();
void withInterface.publish('a', { n: 1 });

holds<Equal<ReturnType<EventBusClient['metrics']>, Promise<string>>>();
