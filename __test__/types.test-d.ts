/** Compiled, never run: the types of the contract. */

import {
  type BusEvent,
  type ErrorCode,
  type Event,
  EventBusClient,
  EventBusError,
  type EventOf,
  type HandlerContext,
  type PatternEvent,
  type PublishResult,
  type Subscription,
} from '..';

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
  await bus.publish('photo.deleted', { photoId: '1' }, { stream: 'x' });
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
  // @ts-expect-error of a later release
  await bus.subscribe('*', () => {}, { group: 'g' });
  for await (const event of bus.events('photo.uploaded')) event.data.userId.trim();
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
  // @ts-expect-error of a later release
  new EventBusClient({ streams: [] });
  // @ts-expect-error of a later release
  bus.getHistory({});
}

interface InterfaceEvents {
  a: { n: number };
}
export const withInterface = new EventBusClient<InterfaceEvents>();
void withInterface.publish('a', { n: 1 });
